//! The time in lines that are JSON: RFC 3339, in UTC, with microseconds.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTime(u64);

impl LogTime {
    pub fn now() -> Self {
        let age = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::after_epoch(age.unwrap_or_default())
    }

    pub fn after_epoch(age: Duration) -> Self {
        Self(u64::try_from(age.as_micros()).unwrap_or_default())
    }

    /// Appends `2026-11-23T10:00:00.000001Z`. Each thread formats a second once.
    pub(super) fn append(self, out: &mut Vec<u8>) {
        thread_local! {
            static LATEST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
        }
        let (second, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        LATEST.with_borrow_mut(|(of_second, text)| {
            if *of_second != second {
                let (year, month, day) = date(second / 86_400);
                let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
                text.clear();
                // Writing into memory cannot fail.
                let _ = write!(
                    text,
                    "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}",
                    second % 60
                );
                *of_second = second;
            }
            out.extend_from_slice(text);
        });
        let start = out.len();
        super::json_object::append_number(out, 1_000_000 + micros);
        out[start] = b'.';
        out.push(b'Z');
    }
}

/// Year, month and day of a number of days since 1970: the algorithm `civil_from_days` of Howard Hinnant, whose years
/// begin in March, so that a leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = match shifted_month {
        0..10 => shifted_month + 3,
        _ => shifted_month - 9,
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(micros: u64) -> String {
        let mut out = Vec::new();
        LogTime(micros).append(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        // By `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_795_431_600, "2026-11-23T11:00:00"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(text(seconds * 1_000_000), format!("{expected}.000000Z"));
            assert_eq!(
                text(seconds * 1_000_000 + 42),
                format!("{expected}.000042Z")
            );
        }
    }
}
