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
        help: "Change to this directory before the application is loaded. Other relative paths count \
               from there.",
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
        help: "Detach from the terminal and go on in the background.",
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
        help: "A variable to set in the environment of the application. It may be given several \
               times.",
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
        help: "A file for the process id of the master. It is locked while the master lives, so that \
               a stale one never blocks a start.",
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
        help: "The user, by name or number, that the children run as. Not set is the one that \
               started the master. Log and socket files that the master makes become this user's; \
               links that this user has made are not followed where the master is root.",
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
        help: "The group, by name or number, that the children run as. Not set is the group of user, \
               with all the groups that the user is in, or else that of the master.",
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
        help: "Give the children all the groups that their user is in, beside their own. So it is \
               without this where group is not set.",
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
        help: "The permission bits that new files do not get. 022 and 0o22 are octal, 18 is decimal.",
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
        help: "The directory for request bodies that are too long for memory. Not set is the \
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
        help: "Request bodies up to this length stay in memory, in bytes. Longer ones go to an \
               unlinked file in tmp_upload_dir. 0 is a file for each.",
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
        help: "The memory for all request bodies of one worker together, in bytes. A body that finds \
               no room goes to a file, whatever its length. Where no file can be made, bodies of any \
               length stay in memory within this.",
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
        help: "Load the application once, in a process from which the workers are forked, so that \
               they share its memory. SIGHUP loads it anew. With `reload` each worker loads the \
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
        help: "Send files by sendfile(2). The flag turns it off. The variable SENDFILE replaces \
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
        help: "The field Server of responses in which the application has not set one. An empty text, or \
               none, leaves it out.",
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
        help: "The name that ps and top show for the processes. Not set is the application's name.",
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
        help: "The name where proc_name is not set.",
        apply: |settings, text| {
            Ok::<_, String>(text).map(|value| settings.unused.keep("default_proc_name", value))
        },
        show: |settings| settings.unused.show("default_proc_name"),
    },
];
