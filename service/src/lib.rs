//! `native:eventstreammonitor`: a service for tasks, users and sessions, as in the performance guide.
//!
//! It is an application like any user's: of the server it depends on `oxicorn-common` only.
//!
//! ```text
//!   worker:  request -> routes -> handlers --read--> cache --miss--> store
//!                                     \------------write-----------> store --bell--> runner
//!   runner:  store (queue) -> work -> store
//! ```
//!
//! The store is SQLite or PostgreSQL, the cache is in the process or in Redis, the queue is a table of the store.
//! Each is behind a trait, and only its own module knows the backend.

mod cache;
mod events;
mod handlers;
mod health;
mod input;
mod key_versions;
mod keys;
mod metrics;
mod model;
mod outages;
mod problem;
mod readiness;
mod routes;
mod runner;
mod settings;
mod shared_words;
mod store;
mod survey;
mod trust;
mod work;

use oxicorn_common::settings::Setting;
use oxicorn_common::{App, Application, LoadError, Metric, Runner, Settings, WorkerContext};

pub use settings::SETTINGS;

/// The service, as the master serves it.
#[derive(Debug)]
pub struct EventStreamMonitor;

impl Application for EventStreamMonitor {
    fn name(&self) -> &str {
        "native:eventstreammonitor"
    }

    fn settings(&self) -> &'static [Setting] {
        SETTINGS
    }

    fn metrics(&self) -> &'static [Metric] {
        metrics::METRICS
    }

    fn shared_words(&self) -> usize {
        shared_words::WORDS
    }

    fn check(&self, settings: &Settings) -> Result<(), LoadError> {
        store::check(settings)?;
        Ok(cache::check(settings)?)
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        Ok(Box::new(handlers::Service::new(context)?))
    }

    fn has_runner(&self) -> bool {
        true
    }

    fn runner(&self, context: &WorkerContext) -> Result<Option<Runner>, LoadError> {
        Ok(Some(runner::new(context)?))
    }
}
