//! How many workers and threads there may be when the load decides.

use crate::scoreboard::MAX_THREADS;
use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "min_workers",
        section: Section::WorkerProcesses,
        flags: &["--min-workers"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "With max_workers: the number of workers that automatic scaling does not go below. 0 \
               means as many as workers. SIGTTIN, SIGTTOU and oxicorn ctl workers move it while the \
               server runs.",
        apply: |settings, text| {
            parse::workers_or_none(text).map(|value| settings.scaling.min_workers = value)
        },
        show: |settings| settings.scaling.min_workers.to_string(),
    },
    Setting {
        name: "max_workers",
        section: Section::WorkerProcesses,
        flags: &["--max-workers"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Turns on automatic scaling: up to this many workers while requests wait for a \
               thread or nearly all threads are busy, and back to min_workers, slowly, when they \
               are idle. The server begins with workers. No worker is added for which the control \
               group, or the machine, has no memory left. 0 keeps the number fixed.",
        apply: |settings, text| {
            parse::workers_or_none(text).map(|value| settings.scaling.max_workers = value)
        },
        show: |settings| settings.scaling.max_workers.to_string(),
    },
    Setting {
        name: "max_threads",
        section: Section::WorkerProcesses,
        flags: &["--max-threads"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Lets a worker use more than threads, up to this many, while requests wait and its \
               threads mostly wait, too, for a database for example. Threads that compute get no \
               company. The additional threads are there from the start, and rest in reserve until \
               they are needed and after 10 s without need. 0 keeps the number fixed.",
        apply: |settings, text| {
            parse::number(text, 0..=MAX_THREADS).map(|value| settings.scaling.max_threads = value)
        },
        show: |settings| settings.scaling.max_threads.to_string(),
    },
];
