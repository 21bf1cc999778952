//! How long a worker may take to start, and when it is replaced by a fresh one.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 5] = [
    Setting {
        name: "boot_timeout",
        section: Section::WorkerProcesses,
        flags: &["--boot-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "How long a worker may take from its start until it is ready, the import of the \
               application included, in seconds. Then it is killed, and another one is started. With 0 \
               it is timeout, but at least 30 s; with timeout 0 there is no limit then.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| settings.recycling.boot_timeout = value)
        },
        show: |settings| show::seconds(settings.recycling.boot_timeout),
    },
    Setting {
        name: "worker_max_age",
        section: Section::WorkerProcesses,
        flags: &["--worker-max-age"],
        kind: Kind::Value("SECONDS"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Replace a worker that has served for this long, in seconds. Each worker has up to a \
               tenth less, by chance, so that they are not all replaced at once. The new worker is \
               ready before the old one drains, and one is replaced at a time. 0 means never.",
        apply: |settings, text| {
            parse::seconds(text).map(|value| settings.recycling.worker_max_age = value)
        },
        show: |settings| show::seconds(settings.recycling.worker_max_age),
    },
    Setting {
        name: "max_worker_memory",
        section: Section::WorkerProcesses,
        flags: &["--max-worker-memory"],
        kind: Kind::Value("MEMORY"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Replace a worker that uses more memory than this: 512 or 512M is in MiB, 2G in GiB, and \
               25% is of the memory limit of the control group, or of the machine's memory where there is \
               none. What counts is the proportional set size: memory that workers share is divided \
               among them. The new worker is ready before the old one drains. If fresh workers are over \
               the limit too, one per minute is replaced, with a warning. 0 turns it off.",
        apply: |settings, text| {
            text.parse()
                .map(|limit| settings.recycling.max_worker_memory = limit)
        },
        show: |settings| settings.recycling.max_worker_memory.to_string(),
    },
    Setting {
        name: "max_total_memory",
        section: Section::WorkerProcesses,
        flags: &["--max-total-memory"],
        kind: Kind::Value("MEMORY"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Replace the largest worker when all processes of the server together use more memory \
               than this, at most one per minute. The form is that of max_worker_memory. 0 turns it off.",
        apply: |settings, text| {
            text.parse()
                .map(|limit| settings.recycling.max_total_memory = limit)
        },
        show: |settings| settings.recycling.max_total_memory.to_string(),
    },
    Setting {
        name: "refork_after",
        section: Section::WorkerProcesses,
        flags: &["--refork-after"],
        kind: Kind::Value("COUNT"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "When a worker has served this many requests, it drains and becomes the mold that the next \
               workers are forked from: they share the memory that it has filled, and start warm. The \
               other workers are replaced one by one. Once per generation: SIGHUP loads new code and \
               begins again. Refused, with a warning, if the application has left threads or \
               connections open (worker_exit may close them), or cannot be forked. No effect with \
               reload. 0 turns it off.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX).map(|value| settings.recycling.refork_after = value)
        },
        show: |settings| settings.recycling.refork_after.to_string(),
    },
];
