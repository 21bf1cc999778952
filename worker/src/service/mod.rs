//! `native:eventstreammonitor`: tasks, users and sessions over an embedded store.

mod model;
mod store;
mod work;
