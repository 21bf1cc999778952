//! The threads of a worker: request threads, which take turns at the reactor, and the watchdog.
//!
//! ```text
//!   launch       starts the threads, and ends the process
//!   pool         the loop of a request thread: turns the reactor, runs requests
//!   leadership   who leads: the hand-over of the reactor from thread to thread
//!   watchdog     the thread that promotes a follower, or leads itself, while the leader is in the application
//!   rules        decisions of pool and watchdog, without threads
//!   thread_scaler  how many of the threads serve (`max_threads`), decided without threads too, and
//!   thread_gain    whether more of them have helped, by what each number has done (thread_level)
//!   timeouts     answers for threads that the application holds too long
//! ```
//!
//! The leader turns the reactor. When a request is whole, it lets go of the reactor and runs the application itself.
//! It leads again afterwards unless another thread does. So a short request costs no hand-over and wakes no thread.
//! Followers sleep until they are promoted.
//!
//! Requests are run in the order in which they became whole. Between two of them the leader looks for new events, at
//! most a millisecond apart. Requests that find no thread here wait in the queue that all workers share (`handoff`).

mod blocking_estimator;
mod launch;
mod leader_inbox;
mod leadership;
mod main_thread;
mod pool;
mod processor_demand;
mod request_source;
mod returned;
mod rules;
mod thread_change;
mod thread_gain;
mod thread_level;
mod thread_scaler;
mod thread_state;
mod timeouts;
mod watchdog;

use std::time::Duration;

pub use launch::ExitProcess;
pub(crate) use launch::{LaunchError, run};

/// The longest turn of the reactor.
const TURN: Duration = Duration::from_secs(1);
