//! What the master and its children share: the settings, the logs, the shared memory, the messages, and the traits
//! between the server and what it serves.
//!
//! This crate has no event loop, no HTTP parser and no Python. The master links it and must stay small enough
//! to trust.
//!
//! An application implements two traits. The master holds the [`Application`]; each worker makes an [`App`] of
//! it, whose request threads call it with one [`Request`] at a time:
//!
//! ```
//! use oxicorn_common::{App, Request, Response};
//!
//! fn app(request: &mut Request) -> Response {
//!     let agent = request.field("user-agent").unwrap_or(b"no agent");
//!     Response::new(http::StatusCode::OK).body(agent.to_vec().into())
//! }
//!
//! let app: &dyn App = &app;
//! ```
//!
//! The modules are layered. A module imports only from its own layer and those below; there are no import cycles:
//!
//! ```text
//!   what is served       application  worker_context  app  response_sink  runner
//!   what is chosen       settings  rate_limits
//!   logs and metrics     logging
//!   what is exchanged    request  response  body  body_memory  hooks  message  exit_code
//!   what is known        status  metrics
//!   what is shared       scoreboard  handoff  bell  shared_memory  descriptor_passing
//!   the process          signals  forks  clock  listener  address  bounded_file  directory_entry  cgroup  process_memory
//!   system calls         sys
//! ```

pub mod address;
pub mod app;
pub mod application;
pub mod bell;
pub mod body;
pub mod body_memory;
pub mod bounded_file;
pub mod cgroup;
pub mod clock;
pub mod descriptor_passing;
pub mod directory_entry;
pub mod exit_code;
pub mod forks;
pub mod handoff;
pub mod hooks;
mod identity;
pub mod listener;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod process_memory;
pub mod rate_limits;
pub mod request;
pub mod response;
pub mod response_sink;
pub mod runner;
pub mod scoreboard;
pub mod settings;
pub mod shared_memory;
pub mod signals;
pub mod status;
mod sys;
pub mod tcp_info;
pub mod worker_context;

pub use app::App;
pub use application::{Application, LoadError};
pub use body::Body;
pub use directory_entry::DirectoryEntry;
pub use handoff::Handoff;
pub use identity::SERVER_SOFTWARE;
pub use listener::Listener;
pub use message::{Message, MessageReceiver, MessageSender};
pub use metrics::{Metric, Metrics};
pub use request::{Local, Peer, Request, RequestHead, RequestId, Scheme, TraceContext, Version};
pub use response::{Fields, Piece, Response, ResponseBody};
pub use response_sink::{EarlyOutput, ResponseSink};
pub use runner::{Runner, Stop};
pub use scoreboard::Scoreboard;
pub use settings::Settings;
pub use shared_memory::SharedMemory;
pub use signals::SignalPipe;
pub use worker_context::WorkerContext;
