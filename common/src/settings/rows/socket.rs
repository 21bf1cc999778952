//! The listening sockets.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "bind",
        section: Section::ServerSocket,
        flags: &["-b", "--bind"],
        kind: Kind::List("ADDRESS"),
        default: "127.0.0.1:8000",
        bare: None,
        standing: Standing::Works,
        help: "Where to listen: HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N. It may be given \
               several times, or several addresses separated by commas. The default port is 8000; \
               port 0 takes a free one. The variable PORT means 0.0.0.0:PORT.",
        apply: |settings, text| {
            match text {
                "" => settings.bind.clear(),
                _ => settings.bind.extend(parse::addresses(text)?),
            }
            Ok(())
        },
        show: |settings| show::list(&settings.bind, ToString::to_string),
    },
    Setting {
        name: "backlog",
        section: Section::ServerSocket,
        flags: &["--backlog"],
        kind: Kind::Value("CONNECTIONS"),
        default: "2048",
        bare: None,
        standing: Standing::Works,
        help: "How many connections may wait to be accepted, per listener. The kernel caps it at \
               net.core.somaxconn.",
        apply: |settings, text| {
            parse::number(text, 1..=i32::MAX as u32).map(|value| settings.backlog = value)
        },
        show: |settings| settings.backlog.to_string(),
    },
    Setting {
        name: "reuse_port",
        section: Section::ServerSocket,
        flags: &["--reuse-port"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Bind with SO_REUSEPORT, so that another server that does the same may bind the same \
               address. A reload leaves sockets as they are bound.",
        apply: |settings, text| parse::switch(text).map(|value| settings.reuse_port = value),
        show: |settings| settings.reuse_port.to_string(),
    },
];
