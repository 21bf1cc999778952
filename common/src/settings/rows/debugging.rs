//! Settings that inspect the others instead of serving.

use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 2] = [
    Setting {
        name: "check_config",
        section: Section::Debugging,
        flags: &["--check-config"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Check the settings, load the application and exit: 0 if all is well, 1 if not.",
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
        standing: Standing::Works,
        help: "Print every setting, its value and its source, and exit as check_config does.",
        apply: |settings, text| parse::switch(text).map(|value| settings.print_config = value),
        show: |settings| settings.print_config.to_string(),
    },
];
