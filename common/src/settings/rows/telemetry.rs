//! Syslog, statsd, and logging through Python.

use crate::logging::{StatsdAddress, SyslogAddress, SyslogFacility};
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 15] = [
    Setting {
        name: "capture_output",
        section: Section::Logging,
        flags: &["--capture-output"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Send the standard output and error of the application to the error log.",
        apply: |settings, text| parse::switch(text).map(|value| settings.capture_output = value),
        show: |settings| settings.capture_output.to_string(),
    },
    Setting {
        name: "enable_stdio_inheritance",
        section: Section::Logging,
        flags: &["-R", "--enable-stdio-inheritance"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Keep standard output and error open in daemon mode.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.enable_stdio_inheritance = value)
        },
        show: |settings| settings.enable_stdio_inheritance.to_string(),
    },
    Setting {
        name: "logger_class",
        section: Section::Logging,
        flags: &["--logger-class"],
        kind: Kind::Value("CLASS"),
        default: "gunicorn.glogging.Logger",
        bare: None,
        standing: Standing::Works,
        help: "The logger class, as module.Class: a subclass of gunicorn.glogging.Logger, which \
               exists here too. All records and requests then go through Python. It needs the \
               wheel.",
        apply: |settings, text| {
            parse::logger_class(text).map(|value| settings.logconfig.class = value)
        },
        show: |settings| settings.logconfig.class.clone(),
    },
    Setting {
        name: "logconfig",
        section: Section::Logging,
        flags: &["--log-config"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A file for Python's logging.config.fileConfig. Records go to the loggers \
               gunicorn.error and gunicorn.access.",
        apply: |settings, text| {
            settings.logconfig.file = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.logconfig.file),
    },
    Setting {
        name: "logconfig_dict",
        section: Section::Logging,
        flags: &["--log-config-dict"],
        kind: Kind::Value("JSON"),
        default: "{}",
        bare: None,
        standing: Standing::Works,
        help: "A dictionary for Python's logging.config.dictConfig, here as JSON. It overrides \
               logconfig_json, which overrides logconfig.",
        apply: |settings, text| {
            parse::json_object(text).map(|value| settings.logconfig.dict = value)
        },
        show: |settings| {
            settings
                .logconfig
                .dict
                .clone()
                .unwrap_or_else(|| "{}".to_owned())
        },
    },
    Setting {
        name: "logconfig_json",
        section: Section::Logging,
        flags: &["--log-config-json"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A JSON file for Python's logging.config.dictConfig.",
        apply: |settings, text| {
            settings.logconfig.json = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.logconfig.json),
    },
    Setting {
        name: "syslog",
        section: Section::Logging,
        flags: &["--log-syslog"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Send the error log and the access log to syslog too.",
        apply: |settings, text| parse::switch(text).map(|value| settings.syslog.enabled = value),
        show: |settings| settings.syslog.enabled.to_string(),
    },
    Setting {
        name: "syslog_addr",
        section: Section::Logging,
        flags: &["--log-syslog-to"],
        kind: Kind::Value("ADDRESS"),
        default: "udp://localhost:514",
        bare: None,
        standing: Standing::Works,
        help: "The address of syslog: udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, optionally \
               with #dgram or #stream after the path for the type of the socket.",
        apply: |settings, text| {
            SyslogAddress::parse(text).map(|value| settings.syslog.address = value)
        },
        show: |settings| settings.syslog.address.to_string(),
    },
    Setting {
        name: "syslog_prefix",
        section: Section::Logging,
        flags: &["--log-syslog-prefix"],
        kind: Kind::Value("TEXT"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The name of the server in syslog. By default it is the name of the processes.",
        apply: |settings, text| {
            settings.syslog.prefix = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.syslog.prefix.as_deref()),
    },
    Setting {
        name: "syslog_facility",
        section: Section::Logging,
        flags: &["--log-syslog-facility"],
        kind: Kind::Value("FACILITY"),
        default: "user",
        bare: None,
        standing: Standing::Works,
        help: "The facility of the lines in syslog: user, daemon, local0 to local7 or another of \
               syslog(3).",
        apply: |settings, text| {
            SyslogFacility::parse(text).map(|value| settings.syslog.facility = value)
        },
        show: |settings| settings.syslog.facility.to_string(),
    },
    Setting {
        name: "disable_redirect_access_to_syslog",
        section: Section::Logging,
        flags: &["--disable-redirect-access-to-syslog"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Keep the access log out of syslog.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.syslog.errors_only = value)
        },
        show: |settings| settings.syslog.errors_only.to_string(),
    },
    Setting {
        name: "statsd_host",
        section: Section::Logging,
        flags: &["--statsd-host"],
        kind: Kind::Value("ADDRESS"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The address of statsd: HOST:PORT or unix://PATH. If it is not set no metrics are \
               sent.",
        apply: |settings, text| {
            settings.statsd.address = match text {
                "" => None,
                _ => Some(StatsdAddress::parse(text)?),
            };
            Ok(())
        },
        show: |settings| show::optional(settings.statsd.address.as_ref()),
    },
    Setting {
        name: "statsd_prefix",
        section: Section::Logging,
        flags: &["--statsd-prefix"],
        kind: Kind::Value("TEXT"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The prefix of the names of metrics for statsd.",
        apply: |settings, text| {
            settings.statsd.prefix = text.to_owned();
            Ok(())
        },
        show: |settings| settings.statsd.prefix.clone(),
    },
    Setting {
        name: "dogstatsd_tags",
        section: Section::Logging,
        flags: &["--dogstatsd-tags"],
        kind: Kind::Value("TAGS"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "Tags for the metrics, as DogStatsD takes them: NAME:VALUE, separated by commas.",
        apply: |settings, text| {
            settings.statsd.tags = text.to_owned();
            Ok(())
        },
        show: |settings| settings.statsd.tags.clone(),
    },
    Setting {
        name: "enable_backlog_metric",
        section: Section::Logging,
        flags: &["--enable-backlog-metric"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Report to statsd how many connections wait to be accepted.",
        apply: |settings, text| parse::switch(text).map(|value| settings.statsd.backlog = value),
        show: |settings| settings.statsd.backlog.to_string(),
    },
];
