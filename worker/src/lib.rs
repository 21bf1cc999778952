//! What runs in a worker: event loop, HTTP/1.1, request threads, the native applications.
//!
//! ```text
//!   boot      the entry points of a child process
//!   crew      request threads and the watch: who leads, who follows
//!   reactor   the event loop: every connection that waits for its client
//!   desk      one request thread's work: application in, bytes out
//!   http      HTTP/1.1 without I/O
//!   gate      what a connection gets through before its first request
//!   tls       TLS over a client's socket
//!   handoff   connections that go to a sibling
//!   reload    watches the code of the application
//!   native    the applications that come with the server
//!   service   native:eventstreammonitor
//! ```

mod acceptor;
mod ahead;
mod awaited;
mod boot;
mod buffers;
mod connection;
mod connection_limit;
mod crew;
mod desk;
mod estimates;
mod exchange;
mod gate;
mod handoff;
mod http;
mod inbox;
pub mod native;
mod outgoing;
mod pace;
mod proxy_header;
mod reactor;
mod ready;
mod reload;
mod seat;
mod service;
mod stack;
mod station;
mod stream;
mod sys;
mod thread_state;
mod threads;
mod timers;
mod tls;

pub use boot::{Boot, preload, run_runner, run_web};
pub use crew::End;
pub use tls::{Tls, TlsError};
