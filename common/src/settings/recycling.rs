//! When workers are replaced besides `max_requests`, and the form of a limit of memory.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::cgroup;

const MIB: u64 = 1024 * 1024;

/// The limits of a worker's life, and the time for its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecyclingSettings {
    /// Zero means that `timeout` counts.
    pub boot_timeout: Duration,
    pub worker_max_age: Duration,
    /// Of one worker.
    pub max_worker_memory: MemoryLimit,
    /// Of all processes of the server together.
    pub max_total_memory: MemoryLimit,
    /// After this number of requests a worker becomes the mold of the next ones; 0 is never.
    pub refork_after: u64,
}

/// A limit of memory, as it was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryLimit {
    #[default]
    Off,
    MebiBytes(u64),
    /// Of the memory that the control group may use.
    Percent(u64),
}

impl MemoryLimit {
    pub fn is_off(self) -> bool {
        self == Self::Off
    }

    /// The limit in bytes. Per cent are those of the memory that the control group of this process may use, or that the
    /// machine has. `None` if there is no limit, or the system does not tell that memory.
    pub fn in_bytes(self) -> Option<u64> {
        match self {
            Self::Off => None,
            Self::MebiBytes(count) => Some(count.saturating_mul(MIB)),
            Self::Percent(percent) => Some(cgroup::usable_memory()? / 100 * percent),
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("%", 0), ("G", 1024), ("M", 1), ("", 1)];
        let upper = text.trim().to_ascii_uppercase();
        let found = units.into_iter().find_map(|(suffix, factor)| {
            let digits = upper.strip_suffix(suffix)?;
            let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
            let number = digits.parse::<u64>().ok().filter(|_| is_number)?;
            match (number, factor) {
                (0, _) => Some(Self::Off),
                (1..=100, 0) => Some(Self::Percent(number)),
                (_, 0) => None,
                _ => Some(Self::MebiBytes(number.checked_mul(factor)?)),
            }
        });
        found.ok_or_else(|| {
            "a number of MiB such as 512 or 512M, of GiB such as 2G, or per cent of the control group's \
             memory from 1% to 100%; 0 is off"
                .to_owned()
        })
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("0"),
            Self::MebiBytes(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown_in_the_same_form() {
        let read = |text: &str| text.parse::<MemoryLimit>();
        for (text, limit, shown) in [
            ("0", MemoryLimit::Off, "0"),
            ("0%", MemoryLimit::Off, "0"),
            ("512", MemoryLimit::MebiBytes(512), "512"),
            ("512M", MemoryLimit::MebiBytes(512), "512"),
            ("2g", MemoryLimit::MebiBytes(2048), "2048"),
            ("25%", MemoryLimit::Percent(25), "25%"),
        ] {
            let found = read(text).expect(text);
            assert_eq!((found, found.to_string()), (limit, shown.to_owned()));
            assert_eq!(read(shown), Ok(limit));
        }
        for text in ["", "M", "-1", "+5", "1.5G", "101%", "512MB", "%", "lots"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_a_number_of_bytes() {
        assert_eq!(MemoryLimit::Off.in_bytes(), None);
        assert_eq!(MemoryLimit::MebiBytes(2).in_bytes(), Some(2 * MIB));
        let all = MemoryLimit::Percent(100).in_bytes().expect("some memory");
        let tenth = MemoryLimit::Percent(10).in_bytes().expect("some memory");
        assert!(all / 11 < tenth && tenth <= all / 10, "{tenth} of {all}");
    }
}
