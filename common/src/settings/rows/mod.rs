//! The rows of the table, one file per group.

pub(super) mod admin;
pub(super) mod balancer;
pub(super) mod control;
pub(super) mod debugging;
pub(super) mod hooks;
pub(super) mod limits;
pub(super) mod logging;
pub(super) mod mechanics;
pub(super) mod parsing;
pub(super) mod process;
pub(super) mod proxy;
pub(super) mod python;
pub(super) mod rate_limits;
pub(super) mod recycling;
pub(super) mod reload;
pub(super) mod scaling;
pub(super) mod shedding;
pub(super) mod socket;
pub(super) mod sources;
pub(super) mod static_files;
pub(super) mod telemetry;
pub(super) mod tls;
pub(super) mod unserved;
pub(super) mod workers;
