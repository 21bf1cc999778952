//! What runs in a worker: event loop, HTTP/1.1, request threads.
//!
//! ```text
//!   boot      the entry points of a child process
//!   threads   request threads and the watchdog: who leads, who follows
//!   reactor   the event loop: every connection that waits for its client
//!   handler      one request thread's work: application in, bytes out
//!   http      HTTP/1.1 without I/O
//!   preface      what a connection gets through before its first request
//!   tls       TLS over a client's socket
//!   handoff   connections that go to a sibling
//!   reload    watches the code of the application
//! ```

mod acceptor;
mod access_record;
mod awaited;
mod boot;
mod buffers;
mod connection;
mod connection_limit;
mod early_writer;
mod handoff;
mod http;
mod in_flight;
mod pace;
mod preface;
mod proxy_header;
mod reactor;
mod read_buffer;
mod ready_queue;
mod reload;
mod request_handler;
mod response_writer;
mod stack_trace;
mod sync;
mod sys;
mod thread_spawn;
mod threads;
mod timed_call;
mod timers;
mod tls;
mod transport;
mod worker_shared;

pub use boot::{Boot, preload, run_runner, run_web};
pub use threads::ExitProcess;
pub use tls::{TlsConfig, TlsError};
