//! The address of Redis and the login, from `redis_url` or else from `redis_host` and the settings that go with it. No
//! message contains the password.

use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockAddr;

use crate::settings::ServiceSettings;
use crate::trust::Trust;

/// The TLS of `rediss://`, and the name that the certificate must have.
#[derive(Clone)]
pub(super) struct RedisTls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// If these are wrong, the replies to `AUTH` and `SELECT` are errors.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: i64,
    pub(super) tls: Option<RedisTls>,
}

#[derive(Debug, Clone)]
pub(super) struct RedisAddress {
    place: ConnectionAddr,
    pub(super) login: Login,
}

impl RedisAddress {
    /// `None` if no Redis is configured.
    pub(super) fn of(settings: &ServiceSettings) -> anyhow::Result<Option<Self>> {
        if let Some(url) = &settings.redis_url {
            return Self::from_url(url).map(Some);
        }
        let address = settings.redis_host.as_ref().map(|host| Self {
            place: ConnectionAddr::Tcp(host.clone(), settings.redis_port),
            login: Login {
                username: settings.redis_username.clone(),
                password: settings.redis_password.clone(),
                db: settings.redis_db,
                tls: None,
            },
        });
        Ok(address)
    }

    fn from_url(url: &str) -> anyhow::Result<Self> {
        if let Some(unescaped) = unescaped(url) {
            let code = u32::from(unescaped);
            bail!(
                "redis_url: user or password has the character {unescaped}, which a URL has to write as %{code:02X} \
                 (# is %23, / is %2F, ? is %3F, @ is %40, : is %3A, % is %25)"
            );
        }
        let (url, tls) = split_tls(url)?;
        // Neither the URL nor the detail of the error, because they may contain a password.
        let info = url.as_str().into_connection_info().map_err(|error| {
            anyhow!(
                "redis_url: it cannot be used: {}; it is redis[s]://[USER:PASSWORD@]HOST[:PORT][/DB] or unix:///PATH",
                error.category()
            )
        })?;
        let mut login = Login::new(info.redis_settings());
        if let (Some(trust), ConnectionAddr::Tcp(host, _)) = (tls, info.addr()) {
            let name = ServerName::try_from(host.clone());
            login.tls = Some(RedisTls {
                config: Arc::new(trust.client_config("redis_url")?),
                name: name.map_err(|_| {
                    anyhow!("redis_url: {host} is no name that a certificate can be for")
                })?,
            });
        }
        Ok(Self {
            place: info.addr().clone(),
            login,
        })
    }

    /// Resolves the name, which has no time limit.
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

impl fmt::Display for RedisAddress {
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
            tls: None,
        }
    }
}

/// A character of the login that ends it unless it is escaped.
fn unescaped(url: &str) -> Option<char> {
    let (_, rest) = url.split_once("redis://").or(url.split_once("rediss://"))?;
    let (login, _) = rest.rsplit_once('@')?;
    login.chars().find(|it| ['#', '/', '?'].contains(it))
}

/// Without TLS what the other crate reads; and whom TLS is to be spoken with, in the words of redis-py.
fn split_tls(url: &str) -> anyhow::Result<(String, Option<Trust>)> {
    let Some(rest) = url.strip_prefix("rediss://") else {
        return Ok((url.to_owned(), None));
    };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut root, mut checks, mut checks_name, mut kept) = (None, true, true, Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("ssl_ca_certs", path) => root = Some(PathBuf::from(path)),
            ("ssl_cert_reqs", "required") => checks = true,
            ("ssl_cert_reqs", "none") => checks = false,
            ("ssl_check_hostname", "true" | "True") => checks_name = true,
            ("ssl_check_hostname", "false" | "False") => checks_name = false,
            (name, _) if name.starts_with("ssl_") => bail!(
                "redis_url: {name}: use ssl_ca_certs=PATH, ssl_cert_reqs=required or none, ssl_check_hostname=true or false"
            ),
            (name, value) => kept.push(format!("{name}={value}")),
        }
    }
    let trust = match checks {
        true => Trust::Authority { root, checks_name },
        false => Trust::Anybody { required: true },
    };
    let mark = if kept.is_empty() { "" } else { "?" };
    let plain = format!("redis://{base}{mark}{}", kept.join("&"));
    Ok((plain, Some(trust)))
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

    fn of(settings: &ServiceSettings) -> RedisAddress {
        RedisAddress::of(settings)
            .expect("usable")
            .expect("configured")
    }

    #[test]
    fn the_url_wins_over_the_host() {
        let mut settings = ServiceSettings {
            redis_host: Some("there".to_owned()),
            redis_port: 7000,
            redis_db: 2,
            redis_password: Some("secret".to_owned()),
            ..ServiceSettings::default()
        };
        let by_host = of(&settings);
        assert_eq!(by_host.to_string(), "there:7000");
        assert_eq!(by_host.login.db, 2);
        assert!(!format!("{by_host:?}").contains("secret"));
        settings.redis_url = Some("redis://me:s%20t@here/3".to_owned());
        let by_url = of(&settings);
        assert_eq!(by_url.to_string(), "here:6379");
        let login = &by_url.login;
        let found = (login.username.as_deref(), login.password.as_deref());
        assert_eq!((found, login.db), ((Some("me"), Some("s t")), 3));
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
            "redis://u:sec/ret@h",
            "redis://u:1#secret@h",
            "rediss://u:secret@h?ssl_ciphers=x",
        ] {
            let settings = ServiceSettings {
                redis_url: Some(url.to_owned()),
                ..ServiceSettings::default()
            };
            let error = RedisAddress::of(&settings).expect_err(url).to_string();
            assert!(
                error.starts_with("redis_url: ") && !error.contains("secret"),
                "{error}"
            );
        }
        let secret = "rediss://:secret@h/1?ssl_ca_certs=/nowhere.pem";
        let error = RedisAddress::from_url(secret)
            .expect_err("no file")
            .to_string();
        assert!(
            error.contains("ssl_ca_certs: cannot read /nowhere.pem"),
            "{error}"
        );
        let tls =
            RedisAddress::from_url("rediss://:secret@h/1?ssl_cert_reqs=none").expect("usable");
        assert!(tls.login.tls.is_some() && tls.login.db == 1);
        assert!(
            RedisAddress::of(&ServiceSettings::default())
                .expect("no error")
                .is_none()
        );
    }
}
