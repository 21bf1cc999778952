//! Backends and processes stop, hang and die under load, and what must be true afterwards.

mod kafka;
mod kills;
mod outage;
mod postgres;
mod redis;
mod steps;
mod traffic;
mod verdict;

use std::time::Duration;

use outage::Outage;
use traffic::{Tolerance, Traffic};
use verdict::judge;

/// How long a fault lasts, so that every part of the service meets it.
const A_WHILE: Duration = Duration::from_secs(2);
