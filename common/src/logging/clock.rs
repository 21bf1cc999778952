//! The local time as the two logs write it.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::ZonedDateTime;

/// `2026-11-23 10:00:00 +0000`, for the error log.
pub(super) fn error_date() -> String {
    ZonedDateTime::now()
        .strftime("%Y-%m-%d %H:%M:%S %z")
        .to_string()
}

/// Appends `[23/Nov/2026:10:00:00 +0000]`, for the access log. It is made once a second a thread.
pub(super) fn append_access_date(out: &mut Vec<u8>) {
    thread_local! {
        static LATEST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    let second = age.map_or(0, |age| age.as_secs());
    LATEST.with_borrow_mut(|(of_second, text)| {
        if *of_second != second {
            *text = ZonedDateTime::now()
                .strftime("[%d/%b/%Y:%H:%M:%S %z]")
                .to_string();
            *of_second = second;
        }
        out.extend_from_slice(text.as_bytes());
    });
}
