//! The settings of rate limiting.

use std::path::PathBuf;
use std::time::Duration;

use super::redis_url::RedisUrl;

/// There are limits if there is a file of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimitSettings {
    pub file: Option<PathBuf>,
    /// The Redis in which all hosts count together.
    pub redis: Option<RedisUrl>,
    /// How long a request waits for it.
    pub redis_timeout: Duration,
}
