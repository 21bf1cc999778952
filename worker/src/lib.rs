//! What runs in a worker: an event loop, HTTP/1.1, request threads.
//!
//! The modules, in the order in which a request passes through them:
//!
//! ```text
//!   boot              makes what a child process needs, and says that it is ready
//!   threads           request threads: one leads and turns the reactor, a watchdog promotes the others
//!   reactor           the event loop: every connection that waits for its client
//!     acceptor        the listeners, shared with sibling workers
//!     connection      a client's socket and what was read from it; its states and deadlines
//!       transport     the socket, or TLS on top of it (tls)
//!     preface         what may come before the first request: PROXY header, TLS handshake
//!     http            HTTP/1.1 without I/O: bytes to requests, responses to bytes
//!   static_files      answers requests for files, without an application
//!   ready_queue       requests that are whole and wait for a thread
//!     handoff         passes connections to siblings, also requests that find no thread here
//!   request_handler   runs the application for a request, on one thread
//!     request_ids     gives the request its id
//!     in_flight       the request that each thread runs, and since when, for `timeout`
//!     response        begins, sends and logs the response
//! ```
//!
//! `role` says whether all this serves the clients of the server, or those of the admin process.
//!
//! Beside that way: `worker_shared` is what all threads of a worker share (`siblings`, `adoptions`, `access_log`,
//! `master_link`), `reload` watches the code of the application.

mod acceptor;
mod access_log;
mod adoptions;
mod boot;
mod connection;
mod connection_limit;
mod handoff;
mod http;
mod in_flight;
mod master_link;
mod memory_watch;
mod pace;
mod preface;
mod proxy_header;
mod proxy_queue;
mod rate_limits;
mod reactor;
mod read_buffer;
mod ready_queue;
mod reload;
mod request_handler;
mod request_ids;
mod response;
mod role;
mod shedding;
mod siblings;
mod slow_requests;
mod socket;
mod spare_listeners;
mod stack_log;
mod stack_report;
mod stack_trace;
mod static_files;
mod sync;
mod sys;
mod thread_spawn;
mod threads;
mod timed_call;
mod tls;
mod transport;
mod worker_shared;

pub use boot::{Boot, WorkerEnd, preload, run_runner, run_web};
pub use role::WorkerRole;
pub use spare_listeners::SpareListeners;
pub use threads::ExitProcess;
pub use tls::{TlsConfig, TlsError};
