//! When the server refuses requests because too many wait.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 2] = [
    Setting {
        name: "queue_timeout",
        section: Section::WorkerProcesses,
        flags: &["--queue-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "How long a request may wait for a thread, in seconds. One that is going to wait \
               longer, by the requests before it and by how fast they are taken up, gets 503 with \
               Retry-After at once; one that was expected to be in time gets it when its time is \
               over. So an overloaded server answers what it can in good time, and refuses the \
               rest. The connection stays. Health checks (health_path) never wait. A request whose \
               client leaves while it waits is not run. 0 turns it off.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| settings.shedding.queue_timeout = value)
        },
        show: |settings| show::seconds(settings.shedding.queue_timeout),
    },
    Setting {
        name: "max_queue",
        section: Section::WorkerProcesses,
        flags: &["--max-queue"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "How many requests may wait for a thread, in all workers together. One more gets 503 \
               with Retry-After. Requests for which a thread is free do not wait. 0 means any \
               number.",
        apply: |settings, text| {
            parse::number(text, 0..=1_000_000).map(|value| settings.shedding.max_queue = value)
        },
        show: |settings| settings.shedding.max_queue.to_string(),
    },
];
