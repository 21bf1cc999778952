//! Timestamps: the store keeps milliseconds of Unix time, clients see RFC 3339 in UTC.

use std::time::Duration;

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// The day, as in `20261123`.
    pub(crate) fn day(self) -> String {
        self.instant().strftime("%Y%m%d").to_string()
    }

    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        let mut text = String::with_capacity(24);
        // Printing to memory does not fail.
        let _ = PRINTER.print_timestamp(&self.instant(), &mut text);
        serializer.serialize_str(&text)
    }
}

/// The time until a moment that is so many milliseconds ahead; none if it has passed.
pub(crate) fn time_left(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Adds a duration.
pub(crate) fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Timestamp(moment.0.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_rfc_3339_with_milliseconds() {
        let moment = Timestamp(1_763_856_000_007);
        let json = serde_json::to_string(&moment).expect("a string");
        assert_eq!(json, r#""2025-11-23T00:00:00.007Z""#);
        assert_eq!(moment.day(), "20251123");
    }
}
