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
//! The modules stand on floors. Each imports from floors below its own only:
//!
//! ```text
//!   application: the seam        application  worker_context  app  response_sink  runner
//!   settings: what is chosen     settings
//!   logging                      logging
//!   hooks, requests              hooks  request  response  body  body_memory
//!   between processes            scoreboard  handoff  message  descriptor_passing  forks
//!   from the system              shared_memory  clock  signals  listener  address  directory_entry  cgroup
//!   system calls                 sys
//! ```

pub mod address;
pub mod app;
pub mod application;
pub mod bell;
pub mod body;
pub mod body_memory;
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
pub mod request;
pub mod response;
pub mod response_sink;
pub mod runner;
pub mod scoreboard;
pub mod settings;
pub mod shared_memory;
pub mod signals;
mod sys;
pub mod worker_context;

pub use app::App;
pub use application::{Application, LoadError};
pub use body::Body;
pub use directory_entry::DirectoryEntry;
pub use handoff::Handoff;
pub use identity::SERVER_SOFTWARE;
pub use listener::Listener;
pub use message::{Message, MessageReceiver, MessageSender};
pub use request::{Local, Peer, Request, RequestHead, Scheme, Version};
pub use response::{Fields, Piece, Response, ResponseBody};
pub use response_sink::{EarlyOutput, ResponseSink};
pub use runner::{Runner, Stop};
pub use scoreboard::Scoreboard;
pub use settings::Settings;
pub use shared_memory::SharedMemory;
pub use signals::SignalPipe;
pub use worker_context::WorkerContext;
