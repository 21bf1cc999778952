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
        help: "How many worker processes serve requests, 1 to 250. auto is one a processor that this \
               process may use: the affinity mask and the CPU quota of the control group are \
               honoured. The variable WEB_CONCURRENCY replaces the default.",
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
        help: "How many threads of each worker call the application, 1 to 256. A thread is held \
               only while the application runs, never by a slow client. With 1 the application \
               is called on the main thread, where it was loaded.",
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
        help: "How many connections each worker holds at once, idle ones included.",
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
        help: "Replace a worker after this many requests, as a guard against leaks. 0 is never.",
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
        help: "Add a random number of requests, 0 to this, to max_requests, so that workers are not \
               all replaced at once.",
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
        help: "How long the application may take to answer a request, in seconds, and then from one \
               piece of a streamed response to the next: a stream that goes on may last as long as \
               it likes, and the wait for a slow client does not count. A request over its time is \
               answered 504, or cut where its response has begun, and its worker is replaced. A \
               worker whose event loop is silent for as long is killed. 0 is off. With reload it is \
               only logged.",
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
        help: "How long a worker that drains may take to finish its requests, in seconds. Then it is \
               killed.",
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
               thread meanwhile. 0 closes each connection after its response.",
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
        help: "How long a client may take to send a whole request head, in seconds. Then it is \
               answered 408. 0 is off.",
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
        help: "How long a client may send nothing of a request body it owes, in seconds. Then it is \
               answered 408. 0 is off.",
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
        help: "The smallest rate at which a client may send a request body, in bytes a second. Each \
               byte that comes gives it the time of one byte at this rate, and it never has more \
               than body_timeout: one that is slower runs out of time, which is answered 408. 0 is \
               off: any progress will do. Without body_timeout there is no rate.",
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
        help: "How long a client may take nothing of its response, in seconds. Then the connection \
               is reset. What the client's system has acknowledged is taken, however much waits \
               in buffers of this one. Over loopback it does so in steps of 64 KiB and more; over a \
               Unix socket what has been read is taken, in blocks of 32 KiB. 0 is off.",
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
        help: "The smallest rate at which a client may take a response, in bytes a second, as \
               body_min_rate is for what it sends: a client that is slower runs out of \
               write_timeout. 0 is off: any progress will do. Without write_timeout there is no \
               rate.",
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
        help: "How many runner processes do the background work of the application, 0 to 64, where \
               it has any.",
        apply: |settings, text| parse::number(text, 0..=64).map(|value| settings.runners = value),
        show: |settings| settings.runners.to_string(),
    },
];
