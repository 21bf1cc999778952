//! What the admin process answers: metrics, status, health and readiness of the server, for operators and their tools.
//!
//! It is an application like any user's: of the server it depends on `oxicorn-common` only. The master starts one process
//! per generation that serves it, with the worker's code, where `admin_bind` is set. That process shares no listener, no
//! thread and no queue with the workers, so it answers while all of them are stuck. It reads the scoreboard, and writes
//! nothing but its own slot. It runs no code of the served application, of the config file or of a hosting interpreter.
//!
//! ```text
//!   request --> access --> routes --> readiness
//!                 |
//!                 '--> 401, 403
//! ```
//!
//! The modules:
//!
//! ```text
//!   application   how the process is made: its settings and its `App`
//!   access        who may ask; token
//!   routes        the paths
//!   readiness     whether the server lives, and whether it is ready
//! ```

mod access;
mod application;
mod readiness;
mod reply;
mod routes;
mod token;

pub use application::{ADMIN_THREADS, AdminApplication, AdminFacts, admin_settings};
pub use token::{AdminToken, TokenError};
