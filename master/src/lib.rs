//! oxicorn is a pre-forking application server. A master process binds the sockets and forks workers; each worker
//! runs the application with ordinary blocking code on a few threads. It mirrors gunicorn: the same settings, signals
//! and exit codes, for applications in Rust.
//!
//! # A server in three lines
//!
//! The closure that [`run`] is given makes the application of one worker, after the fork. The application is anything
//! that turns a [`Request`] into a [`Response`], from several threads at once.
//!
//! ```no_run
//! use oxicorn::{Request, Response};
//!
//! fn main() -> std::process::ExitCode {
//!     oxicorn::run(|_worker| Ok(|_: &mut Request| Response::text("Hello, World!")))
//! }
//! ```
//!
//! The program has the command line of a server: `--bind`, `--workers`, `--threads`, `--help` for all of them.
//!
//! # An application with state
//!
//! A type of its own implements [`App`]. Each worker makes its resources, such as a pool of connections, for itself:
//! threads and connections do not survive a fork.
//!
//! ```no_run
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use oxicorn::{App, Request, Response, ResponseSink, StatusCode};
//!
//! struct Counter {
//!     requests: AtomicU64,
//! }
//!
//! impl App for Counter {
//!     fn call(&self, _request: &mut Request, _sink: &mut ResponseSink<'_>) -> Response {
//!         let before = self.requests.fetch_add(1, Ordering::Relaxed);
//!         let body = format!(r#"{{"requests": {}}}"#, before + 1);
//!         Response::json(StatusCode::OK, body.into_bytes())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     oxicorn::run(|_worker| {
//!         let requests = AtomicU64::new(0);
//!         Ok(Counter { requests })
//!     })
//! }
//! ```
//!
//! [`run_application`] serves an [`Application`], which can have more: a name, settings and metrics of its own
//! ([`Metric`]), a check of its configuration, background work in processes of its own ([`Runner`]).
//!
//! # The processes
//!
//! ```text
//!   master     binds, forks, reaps; reads no byte of a client and runs no application
//!     |-- worker x `workers`      an event loop and `threads` request threads
//!     |-- runner x `runners`      background work, where the application has any
//!     `-- admin                   metrics and status, where `admin_bind` is set
//! ```
//!
//! The master has one thread, so [`run`] must be called before the program starts any. A worker that crashes or hangs
//! is replaced. SIGHUP replaces all workers by new ones, SIGUSR2 the master itself; neither loses a request.
//!
//! # The source
//!
//! ```text
//!   run         the command line, and everything that can fail before the first fork
//!   master      the loop: passes events to the supervisor, and carries out its actions
//!   supervisor  decides which children there should be; a state machine without I/O
//!   children    workers and runners as the master knows them; `new_child` has their first steps
//!   mold        the processes that preloaded applications are forked from
//!   reload      SIGHUP: the next generation
//!   upgrade     SIGUSR2: a new master beside the old one
//!   control     the control socket; `ctl` is its client
//!   native      the applications that come with the server
//! ```

mod activation;
mod admin_resources;
mod bound_socket;
mod child_context;
mod child_life;
mod child_link;
mod children;
mod config_check;
mod config_children;
mod control;
mod ctl;
mod daemon;
mod descriptor_limit;
mod embed;
mod exit_token;
mod figures;
mod file_mask;
mod fork_queue;
mod gauges;
mod generation;
mod hook_caller;
mod host;
mod inherited;
mod launch;
mod lifetime;
mod listeners;
mod master;
mod master_signals;
mod mold;
mod native;
mod new_child;
mod notify;
mod oom;
mod open_sockets;
mod other_memory;
mod pidfile;
mod privileges;
mod ready_pipe;
mod reap;
mod reload;
mod run;
mod scaling;
mod service_watchdog;
mod shared_files;
mod start_command;
mod supervisor;
mod syn_filter;
mod sys;
mod title;
mod upgrade;

pub use control::place::default_control_socket;
pub use ctl::control;
pub use embed::{run, run_application};
pub use host::{Fork, Host, Native, ShowTitle};
pub use native::native_settings;
pub use oxicorn_common::metrics;
pub use oxicorn_common::request::{Body, Local, Peer, Request, RequestHead, Scheme, Version};
pub use oxicorn_common::response::{Fields, Piece, Response, ResponseBody, StatusCode};
pub use oxicorn_common::settings::{self, Settings, Source};
pub use oxicorn_common::{
    App, Application, EarlyOutput, LoadError, Metric, Metrics, ResponseSink, Runner, Stop,
    WorkerContext,
};
pub use run::{UsageError, by_name, serve, serve_in};

/// The `oxicorn` command: serves the application that its positional argument names.
pub fn command() -> std::process::ExitCode {
    serve(native_settings(), by_name)
}
