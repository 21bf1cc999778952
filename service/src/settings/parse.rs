//! Parses values that only the service has. Every error says what would be right.

use oxicorn_common::settings::parse::{Parsed, number, optional};

/// A database by its URL, which [`crate::store`] reads when it is opened.
pub(super) fn database_url(text: &str) -> Parsed<String> {
    optional(text).ok_or_else(|| "sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME".to_owned())
}

/// A Redis by its URL.
pub(super) fn redis_url(text: &str) -> Parsed<Option<String>> {
    let known = ["redis://", "rediss://", "unix://", "redis+unix://"];
    if text.is_empty() {
        return Ok(None);
    }
    if known.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(Some(text.to_owned()));
    }
    Err("redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://.. or unix:///PATH".to_owned())
}

/// A port, or the URL that Kubernetes makes of one.
pub(super) fn port(text: &str) -> Parsed<u16> {
    let digits = match text.strip_prefix("tcp://") {
        Some(address) => address.rsplit(':').next().unwrap_or_default(),
        None => text,
    };
    number(digits, 1..=u16::MAX)
}

/// Comma-separated addresses, each with its port.
pub(super) fn brokers(text: &str) -> Parsed<Vec<String>> {
    let items = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    items
        .map(|item| match item.rsplit_once(':') {
            _ if item.contains("://") || item.contains('@') => Err(
                "HOST:PORT without a scheme or a user, as brokers are reached in the clear"
                    .to_owned(),
            ),
            Some((host, digits)) if !host.is_empty() && number(digits, 1..=u16::MAX).is_ok() => {
                Ok(item.to_owned())
            }
            _ => Err("HOST:PORT, or several with commas between them".to_owned()),
        })
        .collect()
}

/// The name of a topic or a group, after Kafka's own rule for topics.
pub(super) fn kafka_name(text: &str) -> Parsed<String> {
    let legal = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let valid =
        (1..=249).contains(&text.len()) && text.chars().all(legal) && text != "." && text != "..";
    match valid {
        true => Ok(text.to_owned()),
        false => Err("1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_read_or_refused() {
        assert!(brokers("a:1, b:2").is_ok_and(|all| all == ["a:1", "b:2"]));
        assert!(brokers("a").is_err() && brokers("a:0").is_err() && brokers("u:p@a:1").is_err());
        assert_eq!(
            (port("6379"), port("tcp://10.0.0.1:6379")),
            (Ok(6379), Ok(6379))
        );
        assert!(redis_url("localhost").is_err() && redis_url("").is_ok_and(|it| it.is_none()));
        assert!(kafka_name("a.b-c_1").is_ok() && kafka_name("a b").is_err());
        assert!(database_url("").is_err() && database_url("sqlite:a").is_ok());
    }
}
