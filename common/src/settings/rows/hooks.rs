//! Functions that a Python config file may define and the server calls.

use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 20] = [
    hook(
        "on_starting",
        1,
        "Called with the server before anything is bound.",
    ),
    hook("on_reload", 1, "Called with the server on SIGHUP."),
    hook(
        "when_ready",
        1,
        "Called with the server when it listens, before the first worker is forked.",
    ),
    hook(
        "pre_fork",
        2,
        "Called with the server and the worker to be, in the master.",
    ),
    hook(
        "post_fork",
        2,
        "Called with the server and the worker, in the worker, before the application is loaded.",
    ),
    hook(
        "post_worker_init",
        1,
        "Called with the worker when it has loaded the application.",
    ),
    hook(
        "worker_int",
        1,
        "Called with the worker when it is told to stop at once.",
    ),
    hook(
        "worker_abort",
        1,
        "Called with the worker when a request has outlived its timeout.",
    ),
    hook(
        "pre_exec",
        1,
        "Called with the server before a new master is started on SIGUSR2.",
    ),
    hook(
        "pre_request",
        2,
        "Called with the worker and the request before the application is.",
    ),
    hook(
        "post_request",
        4,
        "Called with the worker, the request, its environ and the response when that is complete. \
         It may leave out the last, or the last two.",
    ),
    hook(
        "child_exit",
        2,
        "Called with the server and the worker that has ended, in the master.",
    ),
    hook(
        "worker_exit",
        2,
        "Called with the server and the worker, in the worker, before it ends.",
    ),
    hook(
        "nworkers_changed",
        3,
        "Called with the server, the number of workers and the number before; None at the start.",
    ),
    hook("on_exit", 1, "Called with the server before it ends."),
    refused(
        "ssl_context",
        "Not taken: certificates come from certfile and keyfile, and rustls makes the rest.",
    ),
    refused(
        "on_dirty_starting",
        "Not taken: there are no dirty workers.",
    ),
    refused("dirty_post_fork", "Not taken: there are no dirty workers."),
    refused(
        "dirty_worker_init",
        "Not taken: there are no dirty workers.",
    ),
    refused(
        "dirty_worker_exit",
        "Not taken: there are no dirty workers.",
    ),
];

const fn hook(name: &'static str, arity: usize, help: &'static str) -> Setting {
    Setting {
        name,
        section: Section::Hooks,
        flags: &[],
        kind: Kind::Hook(arity),
        default: "",
        bare: None,
        standing: Standing::Works,
        help,
        apply: |_, _| Err("a function in a Python config file".to_owned()),
        show: |_| String::new(),
    }
}

const fn refused(name: &'static str, help: &'static str) -> Setting {
    Setting {
        standing: Standing::Refused,
        ..hook(name, 0, help)
    }
}
