//! What the admin process answers: metrics, status, health and readiness of the server, for operators and their tools.
//!
//! It is an application like any user's: of the server it depends on `oxicorn-common` only. The master starts one process
//! per generation that serves it, with the worker's code, where `admin_bind` is set. That process shares no listener, no
//! thread and no queue with the workers, so it answers while all of them are stuck. It reads the scoreboard, and writes
//! nothing but its own slot. It runs no code of the served application, of the config file or of a hosting interpreter.
//!
//! ```text
//!   request --> access --> routes --+--> readiness
//!                 |                 |
//!                 '--> 401, 403     '--> StatusReport --+--> JSON
//!                                          ^    ^       '--> metrics --> exposition
//!                            scoreboard ---'    |
//!                memory_meter, backlog ---------'
//! ```
//!
//! The modules:
//!
//! ```text
//!   application   how the process is made: its settings and its `App`
//!   access        who may ask; token
//!   routes        the paths
//!   readiness     whether the server lives, and whether it is ready
//!   metrics       the names of all metrics; exposition has the text formats, negotiation chooses one
//!   memory_meter  what is too slow to measure for each request
//!   backlog       connections that wait at the public listeners
//!   page          the live page, which shows `status` to people
//! ```

mod access;
mod application;
mod backlog;
mod exposition;
mod memory_meter;
mod metrics;
mod negotiation;
mod page;
mod readiness;
mod reply;
mod routes;
mod token;

pub use application::{ADMIN_THREADS, AdminApplication, AdminFacts, admin_settings};
pub use backlog::PublicListener;
pub use token::{AdminToken, TokenError};
