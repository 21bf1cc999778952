//! Where the Redis is and what it wants to hear from who comes, as `redis_url` has it, or else
//! `redis_host` and its neighbours. The password is in here and in no message.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;

use anyhow::anyhow;
use oxicorn_common::Settings;
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use socket2::SockAddr;

/// The answers to `AUTH` and `SELECT` are errors where these are wrong.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Address {
    place: ConnectionAddr,
    pub(super) login: Login,
}

impl Address {
    /// Nothing where no Redis is configured.
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if let Some(url) = &settings.redis_url {
            return Self::from_url(url).map(Some);
        }
        let address = settings.redis_host.as_ref().map(|host| Self {
            place: ConnectionAddr::Tcp(host.clone(), settings.redis_port),
            login: Login {
                username: None,
                password: settings.redis_password.clone(),
                db: settings.redis_db,
            },
        });
        Ok(address)
    }

    fn from_url(url: &str) -> anyhow::Result<Self> {
        // Neither the URL nor the detail of the error: there may be a password in them.
        let info = url
            .into_connection_info()
            .map_err(|error| anyhow!("redis_url: it cannot be used: {}", error.category()))?;
        if !info.addr().is_supported() {
            return Err(anyhow!("redis_url: TLS is not supported"));
        }
        Ok(Self {
            place: info.addr().clone(),
            login: Login::new(info.redis_settings()),
        })
    }

    /// Asks for the addresses of a name, which may take as long as it takes.
    pub(super) fn resolve(&self) -> io::Result<Vec<SockAddr>> {
        match &self.place {
            ConnectionAddr::Unix(path) => Ok(vec![SockAddr::unix(path)?]),
            ConnectionAddr::Tcp(host, port) => {
                let found = (host.as_str(), *port).to_socket_addrs()?;
                Ok(found.map(SockAddr::from).collect())
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            ConnectionAddr::Unix(path) => write!(f, "{}", path.display()),
            ConnectionAddr::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            ConnectionAddr::Tcp(host, port) => write!(f, "{host}:{port}"),
            other => write!(f, "{other}"),
        }
    }
}

impl Login {
    fn new(info: &RedisConnectionInfo) -> Self {
        let owned = |text: &str| text.to_owned();
        Self {
            username: info.username().map(owned),
            password: info.password().map(owned),
            db: info.db(),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .field("db", &self.db)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &Settings) -> Address {
        Address::of(settings).expect("usable").expect("configured")
    }

    #[test]
    fn the_url_wins_over_the_host() {
        let mut settings = Settings {
            redis_host: Some("there".to_owned()),
            redis_port: 7000,
            redis_db: 2,
            redis_password: Some("secret".to_owned()),
            ..Settings::default()
        };
        let by_host = of(&settings);
        assert_eq!(by_host.to_string(), "there:7000");
        assert_eq!(by_host.login.db, 2);
        assert!(!format!("{by_host:?}").contains("secret"));
        settings.redis_url = Some("redis://me:s%20t@here/3".to_owned());
        let by_url = of(&settings);
        assert_eq!(by_url.to_string(), "here:6379");
        let login = Login {
            username: Some("me".to_owned()),
            password: Some("s t".to_owned()),
            db: 3,
        };
        assert!(by_url.login == login, "{:?}", by_url.login);
        settings.redis_url = Some("unix:///run/redis.sock?db=4".to_owned());
        assert_eq!(of(&settings).to_string(), "/run/redis.sock");
        assert_eq!(of(&settings).login.db, 4);
    }

    #[test]
    fn an_unusable_url_is_named_without_its_password() {
        for url in [
            "redis://u:secret@/x/y",
            "redis://u:secret@h/db",
            "redis://u:secret@h:99999",
        ] {
            let settings = Settings {
                redis_url: Some(url.to_owned()),
                ..Settings::default()
            };
            let error = Address::of(&settings).expect_err(url).to_string();
            assert!(
                error.starts_with("redis_url: ") && !error.contains("secret"),
                "{error}"
            );
        }
        assert!(
            Address::of(&Settings::default())
                .expect("no error")
                .is_none()
        );
    }
}
