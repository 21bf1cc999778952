//! The rows of the table, a file a group.

pub(super) mod debugging;
pub(super) mod limits;
pub(super) mod logging;
pub(super) mod mechanics;
pub(super) mod service;
pub(super) mod socket;
pub(super) mod sources;
pub(super) mod workers;
