//! Directories, files, users and memory of the processes.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 17] = [
    Setting {
        name: "chdir",
        section: Section::ServerMechanics,
        flags: &["--chdir"],
        kind: Kind::Value("DIRECTORY"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The directory to change to before the application is loaded. Other relative paths \
               start there.",
        apply: |settings, text| {
            settings.chdir = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.chdir),
    },
    Setting {
        name: "daemon",
        section: Section::ServerMechanics,
        flags: &["-D", "--daemon"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Detach from the terminal and run in the background.",
        apply: |settings, text| parse::switch(text).map(|value| settings.daemon = value),
        show: |settings| settings.daemon.to_string(),
    },
    Setting {
        name: "raw_env",
        section: Section::ServerMechanics,
        flags: &["-e", "--env"],
        kind: Kind::List("NAME=VALUE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A variable for the environment of the application. It may be given several times.",
        apply: |settings, text| {
            match text {
                "" => settings.raw_env.clear(),
                _ => settings.raw_env.push(parse::assignment(text)?),
            }
            Ok(())
        },
        show: |settings| show::list(&settings.raw_env, |(name, _)| format!("{name}=***")),
    },
    Setting {
        name: "pidfile",
        section: Section::ServerMechanics,
        flags: &["-p", "--pid"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The file for the process id of the master. It is locked while the master lives, so a \
               stale one never blocks a start.",
        apply: |settings, text| {
            settings.pidfile = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.pidfile),
    },
    Setting {
        name: "user",
        section: Section::ServerMechanics,
        flags: &["-u", "--user"],
        kind: Kind::Value("USER"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The user that the children run as, by name or number. By default it is the user that \
               started the master. Log and socket files that the master creates belong to this \
               user. If the master is root, it follows no links that this user has made.",
        apply: |settings, text| parse::user(text).map(|value| settings.user = value),
        show: |settings| show::optional(settings.user),
    },
    Setting {
        name: "group",
        section: Section::ServerMechanics,
        flags: &["-g", "--group"],
        kind: Kind::Value("GROUP"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The group that the children run as, by name or number. By default it is the group of \
               user, with all groups that the user is in, or else the group of the master.",
        apply: |settings, text| parse::group(text).map(|value| settings.group = value),
        show: |settings| show::optional(settings.group),
    },
    Setting {
        name: "initgroups",
        section: Section::ServerMechanics,
        flags: &["--initgroups"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Give the children all groups of their user, beside their own. If group is not set, \
               they get them in any case.",
        apply: |settings, text| parse::switch(text).map(|value| settings.initgroups = value),
        show: |settings| settings.initgroups.to_string(),
    },
    Setting {
        name: "umask",
        section: Section::ServerMechanics,
        flags: &["-m", "--umask"],
        kind: Kind::Value("MODE"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "The permission bits that new files do not get. 022 and 0o22 are octal, 18 is \
               decimal.",
        apply: |settings, text| parse::mode(text).map(|value| settings.umask = value),
        show: |settings| show::mode(settings.umask),
    },
    Setting {
        name: "tmp_upload_dir",
        section: Section::ServerMechanics,
        flags: &["--tmp-upload-dir"],
        kind: Kind::Value("DIRECTORY"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The directory for request bodies that are too long for memory. By default it is the \
               system's directory for temporary files: TMPDIR or /tmp, else /var/tmp.",
        apply: |settings, text| {
            settings.tmp_upload_dir = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.tmp_upload_dir),
    },
    Setting {
        name: "body_buffer_size",
        section: Section::ServerMechanics,
        flags: &["--body-buffer-size"],
        kind: Kind::Value("BYTES"),
        default: "1048576",
        bare: None,
        standing: Standing::Works,
        help: "The length up to which a request body stays in memory, in bytes. Longer ones go to \
               an unlinked file in tmp_upload_dir. 0 means a file for each.",
        apply: |settings, text| {
            parse::number(text, 0..=usize::MAX).map(|value| settings.body_buffer_size = value)
        },
        show: |settings| settings.body_buffer_size.to_string(),
    },
    Setting {
        name: "body_buffer_total",
        section: Section::ServerMechanics,
        flags: &["--body-buffer-total"],
        kind: Kind::Value("BYTES"),
        default: "33554432",
        bare: None,
        standing: Standing::Works,
        help: "The memory for all request bodies of a worker together, in bytes. A body that does \
               not fit goes to a file, whatever its length. If no file can be made, bodies of any \
               length stay in memory within this total.",
        apply: |settings, text| {
            parse::number(text, 0..=usize::MAX).map(|value| settings.body_buffer_total = value)
        },
        show: |settings| settings.body_buffer_total.to_string(),
    },
    Setting {
        name: "preload_app",
        section: Section::ServerMechanics,
        flags: &["--preload"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Load the application once, in a process that the workers are forked from, so that \
               they share its memory. SIGHUP loads it again. With `reload` each worker loads the \
               application by itself. A native application has nothing to share.",
        apply: |settings, text| parse::switch(text).map(|value| settings.preload_app = value),
        show: |settings| settings.preload_app.to_string(),
    },
    Setting {
        name: "sendfile",
        section: Section::ServerMechanics,
        flags: &["--no-sendfile"],
        kind: Kind::Off,
        default: "true",
        bare: None,
        standing: Standing::Works,
        help: "Send files with sendfile(2). The flag turns it off. The variable SENDFILE replaces \
               the default.",
        apply: |settings, text| parse::switch(text).map(|value| settings.sendfile = value),
        show: |settings| settings.sendfile.to_string(),
    },
    Setting {
        name: "server_header",
        section: Section::ServerMechanics,
        flags: &["--server-header"],
        kind: Kind::Value("TEXT"),
        default: "oxicorn",
        bare: None,
        standing: Standing::Works,
        help: "The field Server of responses in which the application has not set one. An empty \
               text, or none, leaves it out.",
        apply: |settings, text| {
            parse::server_header(text).map(|value| settings.server_header = value)
        },
        show: |settings| match settings.server_header.as_str() {
            "" => "none".to_owned(),
            text => text.to_owned(),
        },
    },
    Setting {
        name: "worker_tmp_dir",
        section: Section::ServerMechanics,
        flags: &["--worker-tmp-dir"],
        kind: Kind::Value("DIRECTORY"),
        default: "",
        bare: None,
        standing: Standing::NoEffect("heartbeats are words in shared memory, there is no file"),
        help: "The directory for heartbeat files.",
        apply: |settings, text| {
            Ok::<_, String>(text).map(|value| settings.unused.keep("worker_tmp_dir", value))
        },
        show: |settings| settings.unused.show("worker_tmp_dir"),
    },
    Setting {
        name: "proc_name",
        section: Section::ProcessNaming,
        flags: &["-n", "--name"],
        kind: Kind::Value("NAME"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The process name that ps and top show. By default it is the application's name.",
        apply: |settings, text| {
            settings.proc_name = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.proc_name.as_deref()),
    },
    Setting {
        name: "default_proc_name",
        section: Section::ProcessNaming,
        flags: &["--default-proc-name"],
        kind: Kind::Value("NAME"),
        default: "gunicorn",
        bare: None,
        standing: Standing::NoEffect(
            "where proc_name is not set, the processes have the name of the application",
        ),
        help: "The process name if proc_name is not set.",
        apply: |settings, text| {
            Ok::<_, String>(text).map(|value| settings.unused.keep("default_proc_name", value))
        },
        show: |settings| settings.unused.show("default_proc_name"),
    },
];
