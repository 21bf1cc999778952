//! oxicorn, a pre-forking application server: a master that forks workers and never reads a
//! client's byte.
//!
//! ```no_run
//! use oxicorn::{Request, Response};
//!
//! fn main() -> std::process::ExitCode {
//!     oxicorn::run(|_worker| Ok(|_: &mut Request| Response::text("Hello, World!")))
//! }
//! ```
//!
//! ```text
//!   run         the command line, and what is to be had before the first fork
//!   master      the loop: events in, actions carried out
//!   supervisor  which children there should be; no I/O
//!   spawn       the fork, and a child's first steps
//!   succession  SIGUSR2: the next master beside this one
//!   mold        the process that a preloaded application is forked from
//!   native      the applications that come with the server
//! ```

mod activation;
mod bound_socket;
mod child_context;
mod children;
mod config_check;
mod config_children;
mod daemon;
mod descriptor_limit;
mod embed;
mod exit_token;
mod gauges;
mod generation;
mod hook_caller;
mod host;
mod inherited;
mod launch;
mod listeners;
mod master;
mod master_signals;
mod mold;
mod native;
mod new_child;
mod notify;
mod oom;
mod pidfile;
mod privileges;
mod ready_pipe;
mod reap;
mod reload;
mod run;
mod start_command;
mod supervisor;
mod syn_filter;
mod sys;
mod title;
mod upgrade;

pub use embed::{run, run_application};
pub use host::{Fork, Host, Native, ShowTitle};
pub use native::native_settings;
pub use oxicorn_common::request::{Body, Local, Peer, Request, RequestHead, Scheme, Version};
pub use oxicorn_common::response::{Fields, Piece, Response, ResponseBody};
pub use oxicorn_common::settings::{self, Settings, Source};
pub use oxicorn_common::{
    App, Application, EarlyOutput, LoadError, ResponseSink, Runner, Stop, WorkerContext,
};
pub use run::{UsageError, by_name, serve, serve_in};

/// The `oxicorn` command: serves what its positional argument names.
pub fn command() -> std::process::ExitCode {
    serve(native_settings(), by_name)
}
