//! Parses values. Every error states a correct form.

mod words;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};

use crate::address::Address;
use crate::logging::{AccessFormat, Level};

pub(super) use words::{
    field_names, health_path, json_object, logger_class, one_of, only, paste_assignment,
    request_id_field, root_path, scheme_headers, server_header, tls_version, worker_class,
};

/// Longer spans would overflow deadlines and mean "off" anyway.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A value, or a correct form.
pub type Parsed<T> = Result<T, String>;

/// A number within `range`.
pub fn number<T>(text: &str, range: RangeInclusive<T>) -> Parsed<T>
where
    T: FromStr + PartialOrd + Display,
{
    let valid = text.parse().ok().filter(|value| range.contains(value));
    valid.ok_or_else(|| {
        let (least, most) = range.into_inner();
        format!("a whole number from {least} to {most}")
    })
}

/// A limit as gunicorn reads it: 0 is "none", and more than `most` is `most`.
pub(super) fn limit(text: &str, most: usize) -> Parsed<usize> {
    number(text, 0..=u64::MAX)
        .map(|value| usize::try_from(value).unwrap_or(most).min(most))
        .map_err(|_| format!("a whole number from 0 (no limit) to {most}"))
}

/// Seconds, fractions allowed.
pub fn seconds(text: &str) -> Parsed<Duration> {
    let value = text.parse().ok();
    value
        .and_then(|value| Duration::try_from_secs_f64(value).ok())
        .filter(|&value| value <= LONGEST)
        .ok_or_else(|| format!("a number of seconds from 0 to {}", LONGEST.as_secs()))
}

/// `true` or `false`, or another common spelling.
pub fn switch(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// A text that may be empty.
pub fn optional(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A file name that may be empty.
pub fn path(text: &str) -> Option<PathBuf> {
    optional(text).map(PathBuf::from)
}

/// A number of processes, or `auto` for one per processor that this process may use.
///
/// `available_parallelism` honours the affinity mask (sched_setaffinity(2)) and the CPU quota of the
/// control group, version 1 or 2, rounded down, but never below one.
pub(super) fn workers(text: &str) -> Parsed<usize> {
    if text.eq_ignore_ascii_case("auto") {
        let processors = std::thread::available_parallelism();
        return Ok(processors.map_or(1, usize::from).min(MOST_WORKERS));
    }
    number(text, 1..=MOST_WORKERS).map_err(|expected| format!("{expected}, or auto"))
}

/// The same, where 0 is "not set".
pub(super) fn workers_or_none(text: &str) -> Parsed<usize> {
    match text {
        "0" => Ok(0),
        _ => workers(text).map_err(|_| format!("a whole number from 0 to {MOST_WORKERS}, or auto")),
    }
}

/// With all of them replaced ready-first, they still fit the scoreboard.
pub const MOST_WORKERS: usize = 250;

/// One or more addresses with commas between them.
pub(super) fn addresses(text: &str) -> Parsed<Vec<Address>> {
    text.split(',')
        .map(|item| item.trim().parse().map_err(|error| format!("{error}")))
        .collect()
}

/// An integer as Python writes it, and C's octal: `18`, `022`, `0o22`, `0x12`, `0b10010`.
pub(super) fn mode(text: &str) -> Parsed<u32> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    let value = u32::from_str_radix(digits, radix).ok();
    value
        .filter(|&value| value <= 0o777 && !digits.starts_with('+'))
        .ok_or_else(|| "an integer from 0 to 0777, such as 022, 0o22 or 18".to_owned())
}

pub(super) fn user(text: &str) -> Parsed<Option<Uid>> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = text.parse() {
        return Ok(Some(Uid::from_raw(number)));
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(Some(user.uid)),
        _ => Err("the name or number of a user on this machine".to_owned()),
    }
}

pub(super) fn group(text: &str) -> Parsed<Option<Gid>> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = text.parse() {
        return Ok(Some(Gid::from_raw(number)));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(Some(group.gid)),
        _ => Err("the name or number of a group on this machine".to_owned()),
    }
}

pub(super) fn assignment(text: &str) -> Parsed<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("NAME=VALUE".to_owned()),
    }
}

/// A level by gunicorn's names. `log` knows nothing above an error.
pub(super) fn level(text: &str) -> Parsed<Level> {
    Level::named(text).ok_or_else(|| {
        "debug, info, warning, error or critical, or a number of Python's from 0 to 50".to_owned()
    })
}

pub(super) fn access_format(text: &str) -> Parsed<String> {
    match AccessFormat::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The destination of a log: `-` or a file name.
pub(super) fn log_target(text: &str) -> Parsed<String> {
    optional(text).ok_or_else(|| "a file name, or - for the standard stream".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_pythons_integers() {
        for (text, value) in [
            ("0", 0),
            ("18", 0o22),
            ("022", 0o22),
            ("0o22", 0o22),
            ("0O22", 0o22),
            ("0x12", 0o22),
            ("0b10010", 0o22),
            ("0777", 0o777),
        ] {
            assert_eq!(mode(text), Ok(value), "{text}");
        }
        for text in ["", "-1", "+1", "0o", "0o8", "08", "512", "x", "0o+2"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_finite_and_not_negative() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "inf", "NaN", "1s", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_cut_as_gunicorn_cuts_them() {
        assert_eq!(limit("10000", 8190), Ok(8190));
        assert_eq!(limit("0", 8190), Ok(0));
        assert!(limit("-1", 8190).is_err());
    }

    #[test]
    fn auto_workers_are_those_this_process_may_use() {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(workers("auto"), Ok(most.min(MOST_WORKERS)));
        assert!(workers("0").is_err() && workers("251").is_err());
    }

    #[test]
    fn users_and_groups_by_name_or_number() {
        assert_eq!(user("root"), Ok(Some(Uid::from_raw(0))));
        assert_eq!(user("4711"), Ok(Some(Uid::from_raw(4711))));
        assert_eq!(group("0"), Ok(Some(Gid::from_raw(0))));
        assert_eq!(group(""), Ok(None));
        assert!(user("no such user").is_err() && group("-1").is_err());
    }

    #[test]
    fn levels_are_gunicorns_and_pythons() {
        for (text, value) in [
            ("WARNING", Level::Warning),
            ("Warn", Level::Warning),
            ("critical", Level::Critical),
            ("FATAL", Level::Critical),
            ("NotSet", Level::Debug),
            (" info ", Level::Info),
            ("0", Level::Debug),
            ("10", Level::Debug),
            ("15", Level::Info),
            ("20", Level::Info),
            ("30", Level::Warning),
            ("40", Level::Error),
            ("50", Level::Critical),
        ] {
            assert_eq!(level(text), Ok(value), "{text}");
        }
        for text in ["loud", "51", "-10", "1.5", ""] {
            assert!(level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_texts() {
        assert_eq!(assignment("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(assignment("=b").is_err() && assignment("A").is_err());
        assert!(log_target("").is_err());
        assert_eq!(addresses("a, b:1").map(|list| list.len()), Ok(2));
        assert!(addresses("a,,b").is_err());
        assert!(switch("maybe").is_err());
    }
}
