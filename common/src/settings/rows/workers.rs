//! The number of processes and threads, and their timeouts.

use crate::scoreboard::MAX_THREADS;
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 14] = [
    Setting {
        name: "workers",
        section: Section::WorkerProcesses,
        flags: &["-w", "--workers"],
        kind: Kind::Value("COUNT"),
        default: "1",
        bare: Some("WORKERS"),
        standing: Standing::Works,
        help: "How many worker processes serve requests, 1 to 250. auto means one per processor \
               that this process may use, by the affinity mask and the CPU quota of the control \
               group. The variable WEB_CONCURRENCY replaces the default.",
        apply: |settings, text| parse::workers(text).map(|value| settings.workers = value),
        show: |settings| settings.workers.to_string(),
    },
    Setting {
        name: "threads",
        section: Section::WorkerProcesses,
        flags: &["--threads"],
        kind: Kind::Value("COUNT"),
        default: "1",
        bare: Some("THREADS"),
        standing: Standing::Works,
        help: "How many threads of each worker call the application, 1 to 256. A thread is busy \
               only while the application runs, never because a client is slow. With 1, and \
               without max_threads, the application runs on the main thread, where it was loaded.",
        apply: |settings, text| {
            parse::number(text, 1..=MAX_THREADS).map(|value| settings.threads = value)
        },
        show: |settings| settings.threads.to_string(),
    },
    Setting {
        name: "worker_connections",
        section: Section::WorkerProcesses,
        flags: &["--worker-connections"],
        kind: Kind::Value("COUNT"),
        default: "1000",
        bare: None,
        standing: Standing::Works,
        help: "The maximum number of connections per worker, idle ones included.",
        apply: |settings, text| {
            parse::number(text, 1..=1_000_000).map(|value| settings.worker_connections = value)
        },
        show: |settings| settings.worker_connections.to_string(),
    },
    Setting {
        name: "max_requests",
        section: Section::WorkerProcesses,
        flags: &["--max-requests"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: Some("MAX_REQUESTS"),
        standing: Standing::Works,
        help: "Replace a worker after this many requests, as a guard against leaks. 0 means never.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX).map(|value| settings.max_requests = value)
        },
        show: |settings| settings.max_requests.to_string(),
    },
    Setting {
        name: "max_requests_jitter",
        section: Section::WorkerProcesses,
        flags: &["--max-requests-jitter"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: Some("MAX_REQUESTS_JITTER"),
        standing: Standing::Works,
        help: "Add a random number of requests, from 0 to this, to max_requests, so that the \
               workers are not all replaced at once.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX / 2).map(|value| settings.max_requests_jitter = value)
        },
        show: |settings| settings.max_requests_jitter.to_string(),
    },
    Setting {
        name: "timeout",
        section: Section::WorkerProcesses,
        flags: &["-t", "--timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Works,
        help: "How long the application may take to respond to a request, in seconds, and then from \
               one piece of a streamed response to the next. A stream that makes progress may last \
               for ever, and time spent waiting for a slow client does not count. When the time is \
               over the client gets 504, or the response is cut if it has begun, and the worker is \
               replaced. A worker whose event loop is silent for as long is killed. 0 turns it off. \
               With reload it is only logged.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.timeout = value),
        show: |settings| show::seconds(settings.timeout),
    },
    Setting {
        name: "graceful_timeout",
        section: Section::WorkerProcesses,
        flags: &["--graceful-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Works,
        help: "How long a worker that drains may take to finish its requests, in seconds. Then it \
               is killed.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.graceful_timeout = value),
        show: |settings| show::seconds(settings.graceful_timeout),
    },
    Setting {
        name: "keepalive",
        section: Section::WorkerProcesses,
        flags: &["--keep-alive"],
        kind: Kind::Value("SECONDS"),
        default: "75",
        bare: None,
        standing: Standing::Works,
        help: "How long an idle connection stays open for its next request, in seconds. It holds no \
               thread. 0 closes each connection after its response.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.keepalive = value),
        show: |settings| show::seconds(settings.keepalive),
    },
    Setting {
        name: "header_timeout",
        section: Section::WorkerProcesses,
        flags: &["--header-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Works,
        help: "How long a client may take to send a whole request head, in seconds. Then it gets \
               408. 0 turns it off.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.header_timeout = value),
        show: |settings| show::seconds(settings.header_timeout),
    },
    Setting {
        name: "body_timeout",
        section: Section::WorkerProcesses,
        flags: &["--body-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Works,
        help: "How long a client that still has to send a request body may send nothing, in \
               seconds. Then it gets 408. 0 turns it off.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.body_timeout = value),
        show: |settings| show::seconds(settings.body_timeout),
    },
    Setting {
        name: "body_min_rate",
        section: Section::WorkerProcesses,
        flags: &["--body-min-rate"],
        kind: Kind::Value("BYTES"),
        default: "240",
        bare: None,
        standing: Standing::Works,
        help: "The minimum rate at which a client must send a request body, in bytes per second. \
               Each byte that arrives adds the time of one byte at this rate, up to body_timeout; a \
               client that is slower runs out of time and gets 408. 0 turns it off: any progress is \
               enough. Without body_timeout there is no minimum rate.",
        apply: |settings, text| {
            parse::number(text, 0..=u32::MAX).map(|value| settings.body_min_rate = value)
        },
        show: |settings| settings.body_min_rate.to_string(),
    },
    Setting {
        name: "write_timeout",
        section: Section::WorkerProcesses,
        flags: &["--write-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "30",
        bare: None,
        standing: Standing::Works,
        help: "How long a response may make no progress because the client does not read it, in \
               seconds. Then the connection is reset. Progress is what the client's system has \
               acknowledged, not what is in buffers here. Over loopback that happens in steps of 64 \
               KiB and more; over a Unix socket, progress is what the client has read, in blocks of \
               32 KiB. 0 turns it off.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.write_timeout = value),
        show: |settings| show::seconds(settings.write_timeout),
    },
    Setting {
        name: "write_min_rate",
        section: Section::WorkerProcesses,
        flags: &["--write-min-rate"],
        kind: Kind::Value("BYTES"),
        default: "240",
        bare: None,
        standing: Standing::Works,
        help: "The minimum rate at which a client must read a response, in bytes per second. It \
               works like body_min_rate: a client that is slower runs out of write_timeout. 0 turns \
               it off: any progress is enough. Without write_timeout there is no minimum rate.",
        apply: |settings, text| {
            parse::number(text, 0..=u32::MAX).map(|value| settings.write_min_rate = value)
        },
        show: |settings| settings.write_min_rate.to_string(),
    },
    Setting {
        name: "runners",
        section: Section::WorkerProcesses,
        flags: &["--runners"],
        kind: Kind::Value("COUNT"),
        default: "1",
        bare: Some("RUNNERS"),
        standing: Standing::Works,
        help: "How many runner processes do the background work of the application, 0 to 64, if it \
               has any.",
        apply: |settings, text| parse::number(text, 0..=64).map(|value| settings.runners = value),
        show: |settings| settings.runners.to_string(),
    },
];
