//! The `Date` field (RFC 9110 section 6.6.1), formatted once per second.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The current date as IMF-fixdate, with the time at which it expires.
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

    /// The date at `now`, which the caller has just read from the clock.
    pub(crate) fn at(&mut self, now: Instant) -> &str {
        // A caller may have read the clock before this cache was made.
        if self.text.is_empty() || now >= self.stale_at {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_date_whenever_the_clock_was_looked_at() {
        let now = Instant::now();
        let before = now.checked_sub(Duration::from_secs(1)).expect("a moment");
        for at in [before, now, now + Duration::from_secs(5)] {
            let mut cache = DateCache::new();
            assert!(httpdate::parse_http_date(cache.at(at)).is_ok());
        }
    }
}
