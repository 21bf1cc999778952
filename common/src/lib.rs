//! What both sides of the fork share: settings, addresses, scoreboard, messages, logging and the
//! [`App`] trait.
//!
//! This crate knows no event loop, no HTTP parser and no Python: the master links it and must stay
//! small enough to trust.

pub mod address;
pub mod app;
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
pub mod scoreboard;
pub mod settings;
pub mod shared_memory;
pub mod signals;
mod sys;

pub use app::{App, Application, EarlyOutput, LoadError, ResponseSink, Runner, WorkerContext};
pub use body::Body;
pub use directory_entry::DirectoryEntry;
pub use handoff::Handoff;
pub use identity::SERVER_SOFTWARE;
pub use listener::Listener;
pub use message::{Message, MessageReceiver, MessageSender};
pub use request::{Local, Peer, Request, RequestHead, Scheme, Version};
pub use response::{Fields, Piece, Response, ResponseBody};
pub use scoreboard::Scoreboard;
pub use settings::Settings;
pub use shared_memory::SharedMemory;
pub use signals::SignalPipe;
