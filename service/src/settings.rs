//! The settings that the service brings beside the server's own: store, cache, sessions and events. They are read like
//! the server's, while the service is served.

mod parse;
mod rows;

use std::time::Duration;

use oxicorn_common::Settings;
use oxicorn_common::settings::Section;

pub use rows::SETTINGS;

const SECTION: Section = Section::Application("Built-in service");

/// The values of [`SETTINGS`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ServiceSettings {
    pub(crate) database_url: String,
    pub(crate) pool_size: u32,
    pub(crate) max_overflow: u32,
    pub(crate) pool_recycle: Duration,
    pub(crate) pool_timeout: Duration,
    pub(crate) cache_entries: usize,
    pub(crate) task_cache_ttl: Duration,
    pub(crate) user_cache_ttl: Duration,
    pub(crate) session_cache_ttl: Duration,
    pub(crate) session_ttl: Duration,
    pub(crate) near_cache_ttl: Duration,
    /// Per cent.
    pub(crate) cache_ttl_jitter: u32,
    pub(crate) redis_url: Option<String>,
    pub(crate) redis_host: Option<String>,
    pub(crate) redis_port: u16,
    pub(crate) redis_db: i64,
    pub(crate) redis_username: Option<String>,
    pub(crate) redis_password: Option<String>,
    pub(crate) redis_timeout: Duration,
    pub(crate) kafka_brokers: Vec<String>,
    pub(crate) kafka_topic: String,
    pub(crate) kafka_group: String,
    /// Bytes; 0 is no limit.
    pub(crate) service_body_limit: u64,
}

impl ServiceSettings {
    /// The values that the server has read for the service.
    pub(crate) fn of(settings: &Settings) -> &Self {
        let own = settings.application_values.get();
        own.expect("the server reads the settings of the application that it serves")
    }

    /// The values in `settings`, for a row to fill.
    pub(crate) fn of_mut(settings: &mut Settings) -> &mut Self {
        settings.application_values.get_mut()
    }
}

#[cfg(test)]
mod tests;
