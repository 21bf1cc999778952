//! Converts values back to the text that [`super::parse`] reads.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::logging::Level;

/// Seconds, with a fraction if necessary.
pub fn seconds(value: Duration) -> String {
    value.as_secs_f64().to_string()
}

/// Empty if it is not set.
pub fn optional<T: Display>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A file name; empty if it is not set.
pub fn path(value: &Option<PathBuf>) -> String {
    optional(value.as_ref().map(|path| path.display()))
}

/// Items with commas between them.
pub fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
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

/// Shows only whether a secret is set.
pub fn secret(value: Option<&str>) -> String {
    value.map_or_else(String::new, |_| "***".to_owned())
}

/// The words of `text` in lines of at most `width` bytes.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
