//! [`RedisUrl`]: where the Redis is that all hosts count in.

use std::fmt;
use std::path::PathBuf;

use super::parse::Parsed;
use super::secrets::mask;

/// `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix:///PATH`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub place: RedisPlace,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: u32,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl RedisUrl {
    pub fn parse(text: &str) -> Parsed<Self> {
        let wrong = || {
            "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] or unix:///PATH, with a percent sign before special characters of a password".to_owned()
        };
        if text.starts_with("rediss://") {
            return Err("redis:// or unix://: for TLS, run a proxy such as stunnel or Envoy beside this server".to_owned());
        }
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self {
                    place: RedisPlace::Unix(path.into()),
                    user: None,
                    password: None,
                    database: 0,
                    text: text.to_owned(),
                }),
                false => Err(wrong()),
            };
        }
        let rest = text.strip_prefix("redis://").ok_or_else(wrong)?;
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login {
            None => (None, None),
            Some(login) => {
                let (user, password) = login.split_once(':').ok_or_else(wrong)?;
                let user = decode(user).ok_or_else(wrong)?;
                (Some(user), Some(decode(password).ok_or_else(wrong)?))
            }
        };
        let (address, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            digits => digits.parse().map_err(|_| wrong())?,
        };
        let (host, port) = split_port(address).ok_or_else(wrong)?;
        Ok(Self {
            place: RedisPlace::Tcp { host, port },
            user: user.filter(|it| !it.is_empty()),
            password,
            database,
            text: text.to_owned(),
        })
    }
}

/// Without the password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.text))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn split_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => 6379,
        digits => digits.parse().ok().filter(|&it| it > 0)?,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn decode(text: &str) -> Option<String> {
    let mut octets = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'%' => {
                let digits = [octets.next()?, octets.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_address_are_told_apart() {
        let tcp = |host: &str, port| RedisPlace::Tcp {
            host: host.to_owned(),
            port,
        };
        for (text, place, database) in [
            ("redis://cache", tcp("cache", 6379), 0),
            ("redis://10.0.0.1:7000/3", tcp("10.0.0.1", 7000), 3),
            ("redis://[::1]:7000/", tcp("::1", 7000), 0),
            (
                "unix:///run/redis.sock",
                RedisPlace::Unix("/run/redis.sock".into()),
                0,
            ),
        ] {
            let url = RedisUrl::parse(text).expect(text);
            assert_eq!((url.place, url.database), (place, database), "{text}");
        }
        let url = RedisUrl::parse("redis://me:p%40%2Fw@h/1").expect("valid");
        assert_eq!(
            (url.user.as_deref(), url.password.as_deref()),
            (Some("me"), Some("p@/w"))
        );
        assert_eq!(
            format!("{url} {url:?}"),
            "redis://me:***@h/1 RedisUrl(redis://me:***@h/1)"
        );
        assert_eq!(RedisUrl::parse("redis://:p@h").expect("valid").user, None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "cache",
            "http://a",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h/x",
            "redis://u@h",
            "redis://:%zz@h",
            "unix://a",
            "rediss://h",
        ] {
            assert!(RedisUrl::parse(text).is_err(), "{text}");
        }
    }
}
