//! [`LimitFields`]: the response fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), as
//! complete lines.
//!
//! The effective window `t` is the time in which as many requests become free as are available, so that a client that
//! spreads them over it keeps the rate (section 8.5). With none available it is the time until one is, which is also
//! `Retry-After` (section 6).

use std::fmt::Write;
use std::time::Duration;

use oxicorn_common::rate_limits::RateLimitRule;

/// The lines of one response.
#[derive(Debug, Default)]
pub(crate) struct LimitFields {
    policies: String,
    limits: String,
    lines: Vec<u8>,
}

impl LimitFields {
    pub(crate) fn clear(&mut self) {
        self.policies.clear();
        self.limits.clear();
        self.lines.clear();
    }

    /// Adds a rule, of which `left` requests may be sent at once, or one after `wait`.
    pub(crate) fn add(&mut self, rule: &RateLimitRule, left: u64, wait: Duration) {
        let separator = if self.policies.is_empty() { "" } else { ", " };
        let RateLimitRule { name, burst, .. } = rule;
        let window = rule.window_seconds();
        let seconds = match left {
            0 => whole_seconds(wait),
            left => whole_seconds(
                rule.interval()
                    .saturating_mul(u32::try_from(left).unwrap_or(u32::MAX)),
            ),
        };
        // Writing to a String cannot fail.
        let _ = write!(self.policies, "{separator}\"{name}\";q={burst};w={window}");
        let _ = write!(self.limits, "{separator}\"{name}\";r={left};t={seconds}");
    }

    /// Nothing if no rule was added.
    pub(crate) fn lines(&mut self) -> &[u8] {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        for (name, value) in self.fields() {
            for part in [name, ": ", value, "\r\n"] {
                lines.extend_from_slice(part.as_bytes());
            }
        }
        self.lines = lines;
        &self.lines
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = [
            ("RateLimit-Policy", self.policies.as_str()),
            ("RateLimit", self.limits.as_str()),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// Rounded up, and at least 1: an earlier attempt would be refused.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}
