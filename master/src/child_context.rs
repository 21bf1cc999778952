//! The parts of the master that a forked process keeps.
//!
//! A fork copies the whole master: its pipes, its sockets, the pid file with its lock. The child goes back up to the
//! master's loop as a [`ForkedChild`]; the loop consumes the master, keeps a [`ChildContext`] and one [`Generation`],
//! and drops the rest. So a new field of the master cannot leak a descriptor into children.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use oxicorn_common::bell::Bell;
use oxicorn_common::metrics::MetricMemory;
use oxicorn_common::{Handoff, Scoreboard, exit_code};

use crate::descriptor_limit::DescriptorLimit;
use crate::generation::Generation;
use crate::host::{Host, Native};
use crate::sys;
use crate::title::Title;

/// What the master gives to each child of any generation.
pub(crate) struct ChildContext {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) shared: SharedResources,
    pub(crate) title: Title,
    pub(crate) descriptor_limit: DescriptorLimit,
}

/// Shared by all children.
#[derive(Debug)]
pub(crate) struct SharedResources {
    pub(crate) scoreboard: Scoreboard,
    pub(crate) handoff: Handoff,
    pub(crate) bell: Bell,
    pub(crate) metric_memory: MetricMemory,
}

/// The process in which a fork has returned.
pub(crate) enum Forked<T> {
    Parent(T),
    Child(ForkedChild),
}

/// The work of a forked process. The result is its exit code.
type ChildMain = Box<dyn FnOnce(ChildContext, Generation) -> i32>;

/// A process that was just forked, and is still a copy of the master.
pub(crate) struct ForkedChild {
    generation: Box<Generation>,
    main: ChildMain,
    /// It runs no code of the host, not even at its end.
    without_host: bool,
}

impl ForkedChild {
    pub(crate) fn new(
        generation: &Generation,
        main: impl FnOnce(ChildContext, Generation) -> i32 + 'static,
    ) -> Self {
        Self {
            generation: Box::new(generation.clone()),
            main: Box::new(main),
            without_host: false,
        }
    }

    /// The same for a child that never runs code of the host.
    pub(crate) fn without_host(self) -> Self {
        Self {
            without_host: true,
            ..self
        }
    }

    /// Runs the child until its process ends.
    pub(crate) fn run(self, context: ChildContext) -> ! {
        let host: Arc<dyn Host> = match self.without_host {
            true => Arc::new(Native),
            false => Arc::clone(&context.host),
        };
        let main = AssertUnwindSafe(|| (self.main)(context, *self.generation));
        let code = catch_unwind(main).unwrap_or(exit_code::BOOT_ERROR);
        end_process(&*host, code)
    }
}

/// Ends the process of a child whose work is done.
pub(crate) fn end_process(host: &dyn Host, code: i32) -> ! {
    host.leave();
    log::logger().flush();
    sys::exit_now(code)
}
