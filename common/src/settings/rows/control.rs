//! The control socket.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "control_socket",
        section: Section::Control,
        flags: &["--control-socket"],
        kind: Kind::Value("PATH"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The Unix socket that controls the server, for `oxicorn ctl` and gunicornc. Empty is \
               $XDG_RUNTIME_DIR/gunicorn.ctl if there is such a directory, else \
               ~/.gunicorn/gunicorn.ctl; a directory that is missing is made. A socket on which \
               another server answers stays with that server. Where there cannot be one, the \
               server serves without.",
        apply: |settings, text| {
            settings.control.socket = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.control.socket),
    },
    Setting {
        name: "control_socket_mode",
        section: Section::Control,
        flags: &["--control-socket-mode"],
        kind: Kind::Value("MODE"),
        default: "0o600",
        bare: None,
        standing: Standing::Works,
        help: "The permission bits of the control socket. 0600 and 0o600 are octal, 384 is decimal. \
               Only root and the user of the master may use it, unless these bits let others write.",
        apply: |settings, text| parse::mode(text).map(|value| settings.control.mode = value),
        show: |settings| show::mode(settings.control.mode),
    },
    Setting {
        name: "control_socket_disable",
        section: Section::Control,
        flags: &["--no-control-socket"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Have no control socket.",
        apply: |settings, text| parse::switch(text).map(|value| settings.control.disabled = value),
        show: |settings| settings.control.disabled.to_string(),
    },
];
