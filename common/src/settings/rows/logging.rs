//! The error log and the access log.

use crate::logging::AccessFormat;
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 8] = [
    Setting {
        name: "accesslog",
        section: Section::Logging,
        flags: &["--access-logfile"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The file of the access log, with one line per request, or - for standard output. If \
               it is not set there is no access log. SIGUSR1 reopens the file.",
        apply: |settings, text| {
            settings.accesslog = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.accesslog.as_deref()),
    },
    Setting {
        name: "access_log_format",
        section: Section::Logging,
        flags: &["--access-logformat"],
        kind: Kind::Value("FORMAT"),
        default: AccessFormat::DEFAULT,
        bare: None,
        standing: Standing::Works,
        help: "The format of a line of the access log, made of atoms such as %(h)s; \
               docs/settings.md lists them.",
        apply: |settings, text| {
            parse::access_format(text).map(|value| settings.access_log_format = value)
        },
        show: |settings| settings.access_log_format.clone(),
    },
    Setting {
        name: "access_log_json",
        section: Section::Logging,
        flags: &["--access-log-json"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Write each line of the access log as a JSON object, with OpenTelemetry's attribute \
               names. Other members are chosen by an access_log_format that is itself a JSON object, \
               with atoms as values.",
        apply: |settings, text| parse::switch(text).map(|value| settings.access_log_json = value),
        show: |settings| settings.access_log_json.to_string(),
    },
    Setting {
        name: "errorlog",
        section: Section::Logging,
        flags: &["--error-logfile", "--log-file"],
        kind: Kind::Value("FILE"),
        default: "-",
        bare: None,
        standing: Standing::Works,
        help: "The file of the error log, or - for standard error. SIGUSR1 reopens the file.",
        apply: |settings, text| parse::log_target(text).map(|value| settings.errorlog = value),
        show: |settings| settings.errorlog.clone(),
    },
    Setting {
        name: "error_log_json",
        section: Section::Logging,
        flags: &["--error-log-json"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Write each record of the error log as a JSON object on one line.",
        apply: |settings, text| parse::switch(text).map(|value| settings.error_log_json = value),
        show: |settings| settings.error_log_json.to_string(),
    },
    Setting {
        name: "loglevel",
        section: Section::Logging,
        flags: &["--log-level"],
        kind: Kind::Value("LEVEL"),
        default: "info",
        bare: Some("LOG_LEVEL"),
        standing: Standing::Works,
        help: "The lowest level that is logged: debug, info, warning, error or critical, in any \
               case, or one of Python's numbers, 0 to 50. The variable RUST_LOG may set other \
               levels for parts of the server.",
        apply: |settings, text| parse::level(text).map(|value| settings.loglevel = value),
        show: |settings| show::level(settings.loglevel),
    },
    Setting {
        name: "slow_request",
        section: Section::Logging,
        flags: &["--slow-request"],
        kind: Kind::Value("SECONDS"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Log requests that take this long, in seconds: with the stack of their thread when the \
               application has taken so long, and at the end with the times in the queue, in the \
               application and for sending. 0 turns it off. The thread is asked for its stack by a \
               signal, which libraries of C may notice as EINTR.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.slow_request = value),
        show: |settings| show::seconds(settings.slow_request),
    },
    Setting {
        name: "request_id",
        section: Section::Logging,
        flags: &["--request-id"],
        kind: Kind::Value("FIELD"),
        default: "off",
        bare: None,
        standing: Standing::Works,
        help: "Whether each request has an id: off, on, or the name of the header field that has \
               it instead of X-Request-ID. The id is the one that the peer has sent, if \
               forwarded_allow_ips trusts it and it has 1 to 128 letters, digits and characters of \
               -._~:/+=@; otherwise it is a new one. It is returned in that field, unless the \
               application sets the field itself. The application finds it in its environ under the \
               name of the field, and the logs have it in each line about the request.",
        apply: |settings, text| {
            parse::request_id_field(text).map(|value| settings.request_id = value)
        },
        show: |settings| {
            settings
                .request_id
                .clone()
                .unwrap_or_else(|| "off".to_owned())
        },
    },
];
