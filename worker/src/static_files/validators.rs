//! [`Validators`]: the `ETag` and `Last-Modified` of a file (RFC 9110 section 8.8).
//!
//! The tag is made of the time of the last change, in nanoseconds, and of the size: the same on all hosts that got the
//! file with its time. It has no inode number, which differs between hosts.
//!
//! File systems count time in ticks. Two changes within one tick cannot be told apart by the time, so the tag of a file
//! that has changed just now is weak and never comes again: whoever gets it asks for the whole file next time. The same
//! goes for a second, on file systems that keep no fractions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use super::content_coding::ContentCoding;

/// Longer than a tick of Linux: 10 ms where it ticks a hundred times a second.
const TICK: i128 = 20_000_000;
/// FAT counts in steps of two seconds.
const COARSE_TICK: i128 = 2_000_000_000;
const SECOND: i128 = 1_000_000_000;
/// Build tools give all files a time of the first day of 1970, which says nothing about their content (Nix).
const FIRST_TIME: i128 = 2 * 24 * 3600 * SECOND;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// With its quotation marks, and `W/` if it is weak.
    pub(super) tag: String,
    /// In seconds since 1970. `None` if the file's time is not over.
    pub(super) modified: Option<u64>,
    /// No further change can have the same date.
    pub(super) is_date_settled: bool,
}

impl Validators {
    /// Those of a file at `now`; `coding` if it is a variant of another.
    pub(super) fn of(stat: &Stat, coding: Option<ContentCoding>, now: SystemTime) -> Self {
        let now = nanoseconds(now);
        // The kernel alone sets the time of the last change of the inode; anybody can set the other.
        let changed = i128::from(stat.st_ctime) * SECOND + i128::from(stat.st_ctime_nsec);
        let modified = i128::from(stat.st_mtime) * SECOND + i128::from(stat.st_mtime_nsec);
        let time = if modified < FIRST_TIME {
            changed
        } else {
            modified
        };
        let tick = if stat.st_ctime_nsec == 0 {
            COARSE_TICK
        } else {
            TICK
        };
        let is_settled = now - changed >= tick;
        let coding = coding.map_or("", ContentCoding::ending).replace('.', "-");
        let tag = match is_settled {
            true => format!("\"{time:x}-{:x}{coding}\"", stat.st_size),
            false => format!("W/\"{time:x}-{:x}{coding}-{now:x}\"", stat.st_size),
        };
        let second = time.div_euclid(SECOND);
        let is_over = time <= now;
        Self {
            tag,
            modified: u64::try_from(second).ok().filter(|_| is_over),
            is_date_settled: second < now.div_euclid(SECOND) && is_settled,
        }
    }

    pub(super) fn is_strong(&self) -> bool {
        !self.tag.starts_with("W/")
    }

    /// The value of `Last-Modified`.
    pub(super) fn date(&self) -> Option<String> {
        let since = Duration::from_secs(self.modified?);
        Some(httpdate::fmt_http_date(UNIX_EPOCH.checked_add(since)?))
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// A file of five octets, with its times in nanoseconds.
    fn validators(modified: i64, changed: i64, now: i64) -> Validators {
        let file = tempfile::tempfile().expect("a file");
        let mut stat = rustix::fs::fstat(&file).expect("a file");
        stat.st_size = 5;
        let split = |time: i64| (time / 1_000_000_000, time % 1_000_000_000);
        let ((second, rest), (changed, changed_rest)) = (split(modified), split(changed));
        (stat.st_mtime, stat.st_mtime_nsec) = (second, rest.try_into().expect("positive"));
        (stat.st_ctime, stat.st_ctime_nsec) = (changed, changed_rest.try_into().expect("positive"));
        let now = UNIX_EPOCH + Duration::from_nanos(now.try_into().expect("positive"));
        Validators::of(&stat, None, now)
    }

    const NOW: i64 = 1_700_000_000_500_000_000;

    #[test]
    fn a_tag_is_strong_when_its_tick_is_over() {
        let old = validators(NOW - 5_000_000_000, NOW - 5_000_000_000, NOW);
        assert!(old.is_strong() && old.is_date_settled);
        assert!(old.tag.ends_with("-5\""), "{}", old.tag);
        let young = validators(NOW - 1_000_000, NOW - 1_000_000, NOW);
        assert!(!young.is_strong() && !young.is_date_settled);
        let later = validators(NOW - 1_000_000, NOW - 1_000_000, NOW + 1_000_000);
        assert_ne!(young.tag, later.tag, "each is its own");
        let settled = validators(NOW - 1_000_000, NOW - 1_000_000, NOW + 30_000_000);
        assert!(settled.is_strong() && !settled.is_date_settled);
        assert!(
            !young.tag.contains(&settled.tag[..settled.tag.len() - 1])
                || young.tag.len() > settled.tag.len()
        );
    }

    #[test]
    fn whole_seconds_are_long_ticks() {
        let second = NOW - NOW % 1_000_000_000;
        assert!(!validators(second, second, second + 1_900_000_000).is_strong());
        assert!(validators(second, second, second + 2_000_000_000).is_strong());
    }

    #[test]
    fn a_time_that_was_set_is_no_proof() {
        let old = NOW - 1_000_000_000_000;
        assert!(
            !validators(old, NOW - 1_000_000, NOW).is_strong(),
            "set just now"
        );
        let future = validators(NOW + 1_000_000_000_000, old, NOW);
        assert!(future.is_strong() && future.modified.is_none());
        // RFC 9110 section 8.8.2.1: no date in the future.
        assert_eq!(future.date(), None);
        let nix = validators(1_000_000_000, old, NOW);
        assert_eq!(
            nix,
            validators(1, old, NOW),
            "the time of 1970 does not count"
        );
        assert_ne!(nix, validators(1, old + 7, NOW));
    }

    #[test]
    fn a_variant_has_a_tag_of_its_own() {
        let file = File::open("/proc/self/exe").expect("a file");
        assert!(file.metadata().expect("a file").size() > 0);
        let stat = rustix::fs::fstat(&file).expect("a file");
        let of = |coding| Validators::of(&stat, coding, SystemTime::now()).tag;
        assert!(of(Some(ContentCoding::Gzip)).contains("-gz"));
        assert_ne!(
            of(Some(ContentCoding::Gzip)),
            of(Some(ContentCoding::Brotli))
        );
    }
}
