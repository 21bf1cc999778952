//! Restarting workers when code changes.

use crate::settings::choice::{Choice, ReloadEngine};
use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 4] = [
    Setting {
        name: "reload",
        section: Section::Debugging,
        flags: &["--reload"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Replace the workers when a file of the application changes. For development.",
        apply: |settings, text| parse::switch(text).map(|value| settings.reload.enabled = value),
        show: |settings| settings.reload.enabled.to_string(),
    },
    Setting {
        name: "reload_engine",
        section: Section::Debugging,
        flags: &["--reload-engine"],
        kind: Kind::Value("ENGINE"),
        default: "auto",
        bare: None,
        standing: Standing::Works,
        help: "How changes are detected: inotify, poll, or auto for the better one that is \
               available.",
        apply: |settings, text| {
            ReloadEngine::parse(text).map(|value| settings.reload.engine = value)
        },
        show: |settings| settings.reload.engine.word().to_owned(),
    },
    Setting {
        name: "reload_extra_files",
        section: Section::Debugging,
        flags: &["--reload-extra-file"],
        kind: Kind::List("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "Another file to watch. It may be given several times, and may be a pattern with *, ? \
               and [].",
        apply: |settings, text| {
            match text {
                "" => settings.reload.extra_files.clear(),
                _ => settings.reload.extra_files.push(text.to_owned()),
            }
            Ok(())
        },
        show: |settings| settings.reload.extra_files.join(","),
    },
    Setting {
        name: "spew",
        section: Section::Debugging,
        flags: &["--spew"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::NoEffect(
            "there is no tracing; a request over its timeout is logged with its stack",
        ),
        help: "Trace every line that Python runs.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.unused.keep("spew", value))
        },
        show: |settings| settings.unused.show("spew"),
    },
];
