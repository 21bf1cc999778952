//! The applications that come with the server, named `native:NAME` on the command line.

mod hello;

use std::sync::Arc;

use oxicorn_common::Application;

pub use crate::service::EventStreamMonitor;
pub use hello::Hello;

/// Every native application, in the order `--help` lists them.
pub const NAMES: &[&str] = &["eventstreammonitor", "hello"];

/// The application called `native:NAME`, if there is one.
pub fn find(name: &str) -> Option<Arc<dyn Application>> {
    match name {
        "eventstreammonitor" => Some(Arc::new(EventStreamMonitor)),
        "hello" => Some(Arc::new(Hello)),
        _ => None,
    }
}
