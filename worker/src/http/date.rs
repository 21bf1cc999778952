//! The `Date` field (RFC 9110 section 6.6.1), formatted once a second.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The current date as IMF-fixdate, with the moment it must be made anew.
#[derive(Debug)]
pub(crate) struct DateCache {
    text: String,
    stale_at: Instant,
}

impl DateCache {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
            stale_at: Instant::now(),
        }
    }

    /// The date at `now`, a moment the caller has just read from the clock.
    pub(crate) fn at(&mut self, now: Instant) -> &str {
        if now >= self.stale_at {
            let wall = SystemTime::now();
            let fraction = wall
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .subsec_nanos();
            self.text = httpdate::fmt_http_date(wall);
            self.stale_at = now + Duration::from_secs(1) - Duration::from_nanos(fraction.into());
        }
        &self.text
    }
}
