//! What runs in a worker: event loop, HTTP/1.1, request threads, the native applications.

pub mod native;
