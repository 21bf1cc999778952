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
        standing: Standing::NoEffect("there is no control socket yet; use signals"),
        help: "The Unix socket that controls the server.",
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
        standing: Standing::NoEffect("there is no control socket yet; use signals"),
        help: "The permission bits of the control socket. 0600 and 0o600 are octal, 384 is decimal.",
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
