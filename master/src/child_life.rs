//! The life of a child's process: as a worker, runner or admin process, and perhaps as a mold after that.

use crate::child_context::ChildContext;
use crate::generation::Generation;
use crate::mold::process::MoldProcess;
use crate::new_child::{ChildEnd, NewChild};

/// Returns the exit code.
pub(crate) fn live(child: NewChild, context: ChildContext, generation: Generation) -> i32 {
    match child.run(context, generation) {
        ChildEnd::Exit(code) => code,
        ChildEnd::Drained(worker) => MoldProcess::begin_warm(*worker),
    }
}
