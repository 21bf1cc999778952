//! The local time as the two logs write it.

use std::cell::RefCell;
use std::io::Write;

use crate::clock::{LocalTime, unix_seconds};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `2026-11-23 10:00:00 +0000`, for the error log.
pub(super) fn error_date() -> String {
    let time = LocalTime::at(unix_seconds());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}",
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        zone(&time)
    )
}

/// Appends `[23/Nov/2026:10:00:00 +0000]`, for the access log. Each thread formats it once per second.
pub(super) fn append_access_date(out: &mut Vec<u8>) {
    thread_local! {
        static LATEST: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
    }
    let second = unix_seconds();
    LATEST.with_borrow_mut(|(of_second, text)| {
        if *of_second != second {
            text.clear();
            let time = LocalTime::at(second);
            let month = MONTHS[(time.month as usize - 1) % 12];
            // Writing into memory cannot fail.
            let _ = write!(
                text,
                "[{:02}/{month}/{:04}:{:02}:{:02}:{:02} {}]",
                time.day,
                time.year,
                time.hour,
                time.minute,
                time.second,
                zone(&time)
            );
            *of_second = second;
        }
        out.extend_from_slice(text);
    });
}

/// `+0130`.
fn zone(time: &LocalTime) -> String {
    let (sign, minutes) = match time.offset {
        ..0 => ('-', -time.offset / 60),
        0.. => ('+', time.offset / 60),
    };
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_hours_and_minutes() {
        let zone = |offset| {
            zone(&LocalTime {
                offset,
                ..LocalTime::at(0)
            })
        };
        assert_eq!(zone(5 * 3600 + 30 * 60), "+0530");
        assert_eq!(zone(-(3 * 3600 + 30 * 60)), "-0330");
        assert_eq!(zone(0), "+0000");
    }
}
