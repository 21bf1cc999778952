//! How Python finds the application.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "pythonpath",
        section: Section::Sources,
        flags: &["--pythonpath"],
        kind: Kind::Value("DIRECTORIES"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "Directories in which Python looks for modules first, separated by commas.",
        apply: |settings, text| {
            settings.python.path = text
                .split(',')
                .filter_map(|it| parse::path(it.trim()))
                .collect();
            Ok(())
        },
        show: |settings| show::list(&settings.python.path, |path| path.display().to_string()),
    },
    Setting {
        name: "paste",
        section: Section::Sources,
        flags: &["--paste", "--paster"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A PasteDeploy file to load the application from, optionally with # and the name of \
               its section.",
        apply: |settings, text| {
            settings.python.paste = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.python.paste.as_deref()),
    },
    Setting {
        name: "raw_paste_global_conf",
        section: Section::Sources,
        flags: &["--paste-global"],
        kind: Kind::List("NAME=VALUE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A variable for the PasteDeploy file. It may be given several times. \\= stands for = \
               in a name.",
        apply: |settings, text| {
            match text {
                "" => settings.python.paste_global.clear(),
                _ => settings
                    .python
                    .paste_global
                    .push(parse::paste_assignment(text)?),
            }
            Ok(())
        },
        show: |settings| {
            show::list(&settings.python.paste_global, |(name, value)| {
                format!("{}={value}", name.replace('=', r"\="))
            })
        },
    },
];
