//! Settings of gunicorn that are refused, with what to use instead.

use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 15] = [
    Setting {
        name: "uwsgi_allow_ips",
        section: Section::Unserved,
        flags: &["--uwsgi-allow-from"],
        kind: Kind::Value("ADDRESSES"),
        default: "127.0.0.1,::1",
        bare: None,
        standing: Standing::Refused,
        help: "Who may use the uWSGI protocol.",
        apply: |_, text| {
            parse::only(
                text,
                "127.0.0.1,::1",
                "uWSGI is not spoken: let the proxy in front speak HTTP",
            )
        },
        show: |_| "127.0.0.1,::1".to_owned(),
    },
    Setting {
        name: "http2_cleartext",
        section: Section::Unserved,
        flags: &["--http2-cleartext"],
        kind: Kind::Value("MODE"),
        default: "off",
        bare: None,
        standing: Standing::Refused,
        help: "HTTP/2 without TLS.",
        apply: |_, text| {
            parse::only(
                text,
                "off",
                "HTTP/2 ends at the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "off".to_owned(),
    },
    Setting {
        name: "http2_max_concurrent_streams",
        section: Section::Unserved,
        flags: &["--http2-max-concurrent-streams"],
        kind: Kind::Value("COUNT"),
        default: "100",
        bare: None,
        standing: Standing::Refused,
        help: "The maximum number of streams per connection.",
        apply: |_, text| {
            parse::only(
                text,
                "100",
                "HTTP/2 ends at the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "100".to_owned(),
    },
    Setting {
        name: "http2_initial_window_size",
        section: Section::Unserved,
        flags: &["--http2-initial-window-size"],
        kind: Kind::Value("BYTES"),
        default: "65535",
        bare: None,
        standing: Standing::Refused,
        help: "Flow control of HTTP/2.",
        apply: |_, text| {
            parse::only(
                text,
                "65535",
                "HTTP/2 ends at the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "65535".to_owned(),
    },
    Setting {
        name: "http2_max_frame_size",
        section: Section::Unserved,
        flags: &["--http2-max-frame-size"],
        kind: Kind::Value("BYTES"),
        default: "16384",
        bare: None,
        standing: Standing::Refused,
        help: "The maximum length of a frame.",
        apply: |_, text| {
            parse::only(
                text,
                "16384",
                "HTTP/2 ends at the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "16384".to_owned(),
    },
    Setting {
        name: "http2_max_header_list_size",
        section: Section::Unserved,
        flags: &["--http2-max-header-list-size"],
        kind: Kind::Value("BYTES"),
        default: "65536",
        bare: None,
        standing: Standing::Refused,
        help: "The maximum length of a head.",
        apply: |_, text| {
            parse::only(
                text,
                "65536",
                "HTTP/2 ends at the proxy in front (nginx, HAProxy)",
            )
        },
        show: |_| "65536".to_owned(),
    },
    Setting {
        name: "asgi_loop",
        section: Section::Unserved,
        flags: &["--asgi-loop"],
        kind: Kind::Value("LOOP"),
        default: "auto",
        bare: None,
        standing: Standing::Refused,
        help: "The event loop of ASGI.",
        apply: |_, text| {
            parse::only(
                text,
                "auto",
                "there are WSGI applications only: serve ASGI with uvicorn",
            )
        },
        show: |_| "auto".to_owned(),
    },
    Setting {
        name: "asgi_lifespan",
        section: Section::Unserved,
        flags: &["--asgi-lifespan"],
        kind: Kind::Value("MODE"),
        default: "auto",
        bare: None,
        standing: Standing::Refused,
        help: "The lifespan protocol of ASGI.",
        apply: |_, text| {
            parse::only(
                text,
                "auto",
                "there are WSGI applications only: serve ASGI with uvicorn",
            )
        },
        show: |_| "auto".to_owned(),
    },
    Setting {
        name: "asgi_disconnect_grace_period",
        section: Section::Unserved,
        flags: &["--asgi-disconnect-grace-period"],
        kind: Kind::Value("SECONDS"),
        default: "3",
        bare: None,
        standing: Standing::Refused,
        help: "Time for ASGI applications whose client has gone.",
        apply: |_, text| {
            parse::only(
                text,
                "3",
                "there are WSGI applications only: serve ASGI with uvicorn",
            )
        },
        show: |_| "3".to_owned(),
    },
    Setting {
        name: "websocket_max_message_size",
        section: Section::Unserved,
        flags: &["--websocket-max-message-size"],
        kind: Kind::Value("BYTES"),
        default: "16777216",
        bare: None,
        standing: Standing::Refused,
        help: "Length of WebSocket messages.",
        apply: |_, text| {
            parse::only(
                text,
                "16777216",
                "there are WSGI applications only: serve ASGI with uvicorn",
            )
        },
        show: |_| "16777216".to_owned(),
    },
    Setting {
        name: "dirty_apps",
        section: Section::Unserved,
        flags: &["--dirty-app"],
        kind: Kind::List("APPLICATION"),
        default: "",
        bare: None,
        standing: Standing::Refused,
        help: "Applications of dirty workers.",
        apply: |_, text| {
            parse::only(
                text,
                "",
                "there are no dirty workers: use a task queue such as Celery",
            )
        },
        show: |_| "".to_owned(),
    },
    Setting {
        name: "dirty_workers",
        section: Section::Unserved,
        flags: &["--dirty-workers"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Refused,
        help: "The number of dirty workers.",
        apply: |_, text| {
            parse::only(
                text,
                "0",
                "there are no dirty workers: use a task queue such as Celery",
            )
        },
        show: |_| "0".to_owned(),
    },
    Setting {
        name: "dirty_timeout",
        section: Section::Unserved,
        flags: &["--dirty-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "300",
        bare: None,
        standing: Standing::Refused,
        help: "Time for a dirty worker.",
        apply: |_, text| {
            parse::only(
                text,
                "300",
                "there are no dirty workers: use a task queue such as Celery",
            )
        },
        show: |_| "300".to_owned(),
    },
    Setting {
        name: "dirty_threads",
        section: Section::Unserved,
        flags: &["--dirty-threads"],
        kind: Kind::Value("COUNT"),
        default: "1",
        bare: None,
        standing: Standing::Refused,
        help: "Threads of a dirty worker.",
        apply: |_, text| {
            parse::only(
                text,
                "1",
                "there are no dirty workers: use a task queue such as Celery",
            )
        },
        show: |_| "1".to_owned(),
    },
    Setting {
        name: "dirty_graceful_timeout",
        section: Section::Unserved,
        flags: &["--dirty-graceful-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Refused,
        help: "Time for a dirty worker to end.",
        apply: |_, text| {
            parse::only(
                text,
                "30",
                "there are no dirty workers: use a task queue such as Celery",
            )
        },
        show: |_| "30".to_owned(),
    },
];
