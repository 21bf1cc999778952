//! The entry points of a child process.

use std::sync::Arc;

use oxicorn_common::{Application, Handoff, Listener, MessageSender, Scoreboard, WorkerContext};

/// What a child is given by the master.
#[allow(
    missing_debug_implementations,
    reason = "an application need not have one"
)]
pub struct Boot {
    pub context: WorkerContext,
    pub application: Arc<dyn Application>,
    pub listeners: Vec<Listener>,
    pub scoreboard: Scoreboard,
    pub sender: MessageSender,
    pub handoff: Handoff,
}

pub fn run_web(boot: Boot) -> i32 {
    let _ = boot;
    3
}

pub fn run_runner(boot: Boot) -> i32 {
    let _ = boot;
    3
}
