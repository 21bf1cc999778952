//! What is served, where settings come from, and looking at them.

use crate::settings::setting::{Kind, Section, Setting};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 4] = [
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
    Setting {
        name: "check_config",
        section: Section::Debugging,
        flags: &["--check-config"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        help: "Check the settings, load the application and exit: 0 when all is well, 1 when not.",
        apply: |settings, text| parse::switch(text).map(|value| settings.check_config = value),
        show: |settings| settings.check_config.to_string(),
    },
    Setting {
        name: "print_config",
        section: Section::Debugging,
        flags: &["--print-config"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        help: "Print every setting, its value and where it came from, and exit as check_config does.",
        apply: |settings, text| parse::switch(text).map(|value| settings.print_config = value),
        show: |settings| settings.print_config.to_string(),
    },
];
