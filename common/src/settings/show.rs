//! From typed values back to the text that [`super::parse`] reads.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::logging::Level;

pub(super) fn seconds(value: Duration) -> String {
    value.as_secs_f64().to_string()
}

pub(super) fn optional<T: Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

pub(super) fn path(value: &Option<PathBuf>) -> String {
    optional(value.as_ref().map(|path| path.display()))
}

pub(super) fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(",")
}

pub(super) fn mode(value: u32) -> String {
    match value {
        0 => "0".to_owned(),
        _ => format!("{value:#o}"),
    }
}

pub(super) fn level(value: Level) -> String {
    value.name().to_owned()
}

pub(super) fn secret(value: Option<&str>) -> String {
    value.map_or_else(String::new, |_| "***".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_short() {
        assert_eq!(seconds(Duration::from_secs(30)), "30");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
    }
}
