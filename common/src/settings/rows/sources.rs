//! What is served, and where settings come from.

use crate::settings::setting::{Kind, Section, Setting};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 2] = [
    Setting {
        name: "wsgi_app",
        section: Section::Sources,
        flags: &[],
        kind: Kind::Positional("APPLICATION"),
        default: "",
        bare: None,
        help: "The application to serve: native:NAME for one that is built in, module:callable for a \
               Python one.",
        apply: |settings, text| {
            settings.application = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.application.as_deref()),
    },
    Setting {
        name: "env_file",
        section: Section::Sources,
        flags: &["--env-file"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        help: "A file of NAME=VALUE lines with the same names as the environment, which outranks it. \
               It is read again on SIGHUP. Its variables are settings only; use raw_env for the \
               application's environment.",
        apply: |settings, text| {
            settings.env_file = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.env_file),
    },
];
