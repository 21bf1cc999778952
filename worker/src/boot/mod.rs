//! What a child does between the fork and `ready`.
//!
//! ```text
//!   worker   signals -> application -> shared state, reactor -> hook, reloader -> threads -> `ready`     (web)
//!   runner   signals -> background work -> its thread -> `ready`                                         (runner)
//!   mold     application, which the workers forked from it then have                                     (load)
//! ```
//!
//! `ready` is the last step; a failure before it is reported to the master (`error`). Signals come first, so that a
//! signal that arrives during a long load is not lost.

mod error;
mod load;
mod parts;
mod prepare;
mod runner;
mod web;

pub use load::preload;
pub use parts::Boot;
pub use runner::run_runner;
pub use web::{WorkerEnd, run_web};
