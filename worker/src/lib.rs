//! What runs in a worker: event loop, HTTP/1.1, request threads, the native applications.

mod boot;
pub mod native;

pub use boot::{Boot, run_runner, run_web};
