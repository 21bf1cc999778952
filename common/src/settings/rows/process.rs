//! `worker_class` and the protocols: gunicorn's choices, of which this server has one each.

use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 4] = [
    Setting {
        name: "worker_class",
        section: Section::WorkerProcesses,
        flags: &["-k", "--worker-class"],
        kind: Kind::Value("CLASS"),
        default: "sync",
        bare: None,
        standing: Standing::Works,
        help: "The kind of worker: sync or gthread. Both mean the only kind there is, with threads.",
        apply: |settings, text| {
            parse::worker_class(text).map(|value| settings.worker_class = value)
        },
        show: |settings| settings.worker_class.clone(),
    },
    Setting {
        name: "http_parser",
        section: Section::WorkerProcesses,
        flags: &["--http-parser"],
        kind: Kind::Value("PARSER"),
        default: "auto",
        bare: None,
        standing: Standing::NoEffect("there is one parser"),
        help: "The request parser: auto, fast or python.",
        apply: |settings, text| {
            parse::one_of(text, &["auto", "fast", "python"])
                .map(|value| settings.unused.keep("http_parser", value))
        },
        show: |settings| settings.unused.show("http_parser"),
    },
    Setting {
        name: "protocol",
        section: Section::WorkerProcesses,
        flags: &["--protocol"],
        kind: Kind::Value("NAME"),
        default: "http",
        bare: None,
        standing: Standing::Works,
        help: "The protocol of the connections. Only http is available.",
        apply: |_, text| {
            parse::only(
                text,
                "http",
                "uWSGI and FastCGI are not spoken: let the proxy in front speak HTTP (proxy_pass in nginx)",
            )
        },
        show: |_| "http".to_owned(),
    },
    Setting {
        name: "http_protocols",
        section: Section::WorkerProcesses,
        flags: &["--http-protocols"],
        kind: Kind::Value("NAMES"),
        default: "h1",
        bare: None,
        standing: Standing::Works,
        help: "The versions of HTTP. Only h1 is available.",
        apply: |_, text| {
            parse::only(
                text,
                "h1",
                "HTTP/2 and HTTP/3 are for the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "h1".to_owned(),
    },
];
