//! The application, and the files that settings come from.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "wsgi_app",
        section: Section::Sources,
        flags: &[],
        kind: Kind::Positional("APPLICATION"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The application to serve: native:NAME for a built-in one, module:callable for a \
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
        standing: Standing::Works,
        help: "A file of NAME=VALUE lines with the same names as the environment, which overrides \
               it. If its name begins with - the file may be missing. It is read again on SIGHUP. \
               Its variables are settings only; use raw_env for the application's environment.",
        apply: |settings, text| {
            settings.env_file = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.env_file),
    },
    Setting {
        name: "config",
        section: Section::Sources,
        flags: &["-c", "--config"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A Python config file, also as file:PATH, or python:MODULE for a module. By default \
               it is gunicorn.conf.py or else oxicorn.conf.py in the working directory, if there is \
               one. It is read again on SIGHUP.",
        apply: |settings, text| {
            settings.config = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.config.as_deref()),
    },
];
