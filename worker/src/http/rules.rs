//! The settings for request parsing: limits, permitted deviations, field policy, body storage. Read once per worker.

use std::sync::Arc;

use oxicorn_common::Settings;

use super::fields::FieldPolicy;
use super::lenient::HeadLeniency;
use super::limits::Limits;
use super::storage::BodyStorage;

#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) leniency: HeadLeniency,
    pub(crate) fields: FieldPolicy,
    pub(crate) storage: Arc<BodyStorage>,
    /// Whether the decoder stops when a head is whole, so that the request can be refused before its body is read.
    pub(crate) stops_at_head: bool,
    /// The same for a head that announces a body: some paths take none.
    pub(crate) stops_before_body: bool,
}

impl From<&Settings> for Rules {
    fn from(settings: &Settings) -> Self {
        Self {
            limits: Limits::from(settings),
            leniency: HeadLeniency::from(settings),
            fields: FieldPolicy::from(settings),
            storage: Arc::new(BodyStorage::from(settings)),
            stops_at_head: settings.rate_limits.file.is_some(),
            stops_before_body: settings.health_path.is_some()
                || !settings.static_files.maps.is_empty(),
        }
    }
}
