//! The applications that come with the server, named `native:NAME` on the command line.

mod hello;

use std::sync::Arc;

use oxicorn_common::Application;

pub use hello::Hello;

/// Every native application, in the order `--help` lists them.
pub const NAMES: &[&str] = &["hello"];

/// The application called `native:NAME`, if there is one.
pub fn find(name: &str) -> Option<Arc<dyn Application>> {
    match name {
        "hello" => Some(Arc::new(Hello)),
        _ => None,
    }
}
