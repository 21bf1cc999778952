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

/// A URL with its password masked: what is shown ends up in logs and tickets.
pub(super) fn url(value: &str) -> String {
    let Some(start) = value.find("://").map(|at| at + 3) else {
        return value.to_owned();
    };
    let authority = value[start..].split('/').next().unwrap_or_default();
    let credentials = authority
        .rsplit_once('@')
        .map(|(credentials, _)| credentials);
    match credentials.and_then(|credentials| credentials.split_once(':')) {
        Some((user, password)) => {
            let rest = &value[start + user.len() + 1 + password.len()..];
            format!("{}{user}:***{rest}", &value[..start])
        }
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (text, shown) in [
            ("postgres://u:p@h/d", "postgres://u:***@h/d"),
            (
                "postgres://u:p@ss:w@h:1/d?x=y@z",
                "postgres://u:***@h:1/d?x=y@z",
            ),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("sqlite:a.db", "sqlite:a.db"),
        ] {
            assert_eq!(url(text), shown);
        }
    }

    #[test]
    fn seconds_are_short() {
        assert_eq!(seconds(Duration::from_secs(30)), "30");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5");
    }
}
