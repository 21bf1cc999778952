//! Parses the URL of a PostgreSQL server and its TLS mode.
//!
//! `sslmode` has libpq's six values. The crate's own parser knows three of them and no `sslrootcert`, so both are removed
//! before it reads the URL.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use postgres::Config;
use postgres::config::{Host, SslMode};

use crate::trust::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged. It takes that long to notice that the server's machine is gone.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(super) struct PgTarget {
    pub(super) config: Config,
    pub(super) trust: Trust,
}

/// Without the password.
impl std::fmt::Debug for PgTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

impl PgTarget {
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        // The rest of a password would be taken for the name of the database, and end up in messages.
        let authority = base.split_once("://").map_or("", |(_, rest)| rest);
        if let Some((before, _)) = authority.split_once('/')
            && !before.contains('@')
            && authority.contains('@')
        {
            return refuse("a / in its user or password has to be written %2F, an @ %40");
        }
        let (mut mode, mut root, mut kept) = ("prefer", None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => root = Some(decoded(value)),
                _ => kept.push(pair),
            }
        }
        let Some(trust) = Trust::new(mode, root) else {
            return refuse(&format!(
                "sslmode={mode} is not disable, allow, prefer, require, verify-ca or verify-full"
            ));
        };
        let plain = match kept.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", kept.join("&")),
        };
        let mut config: Config = match plain.parse() {
            Ok(config) => config,
            // The parser's error may quote the URL; its cause names the parameter.
            Err(error) => {
                use std::error::Error;
                let cause = error.source().map(ToString::to_string);
                return refuse(&cause.unwrap_or_else(|| "it cannot be read".to_owned()));
            }
        };
        if config.get_hosts().is_empty() {
            return refuse("it names no host");
        }
        config.ssl_mode(match trust {
            Trust::NoTls => SslMode::Disable,
            Trust::Anybody { required: false } => SslMode::Prefer,
            _ => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("oxicorn");
        }
        config.tcp_user_timeout(UNACKNOWLEDGED);
        config.keepalives_idle(UNACKNOWLEDGED);
        config.keepalives_interval(UNACKNOWLEDGED / 3);
        Ok(Self { config, trust })
    }

    /// The name in messages: `PostgreSQL at HOST:PORT`.
    pub(super) fn name(&self) -> String {
        let ports = self.config.get_ports();
        let places = self.config.get_hosts().iter().enumerate();
        let places = places.map(|(at, host)| {
            // One port may be given for all hosts.
            let port = ports.get(at).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Tcp(host) => format!("{host}:{port}"),
                Host::Unix(path) => format!("{}/.s.PGSQL.{port}", path.display()),
            }
        });
        format!("PostgreSQL at {}", places.collect::<Vec<_>>().join(", "))
    }
}

impl PgTarget {
    /// The name with the database, because a server may have several.
    pub(super) fn full_name(&self) -> String {
        let database = self.config.get_dbname().or(self.config.get_user());
        format!("{}, database {}", self.name(), database.unwrap_or_default())
    }
}

fn decoded(value: &str) -> PathBuf {
    // A plus is a plus in the URLs of PostgreSQL, not a space.
    let escaped = format!("a={}", value.replace('+', "%2B"));
    let pair = form_urlencoded::parse(escaped.as_bytes()).next();
    PathBuf::from(
        pair.map(|(_, value)| value.into_owned())
            .unwrap_or_default(),
    )
}

/// Refuses a text that is no URL of PostgreSQL.
fn refuse(what: &str) -> anyhow::Result<PgTarget> {
    bail!("database_url: {what}; use postgres://USER:PASSWORD@HOST[:PORT]/NAME[?sslmode=MODE]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_server_and_how_it_is_trusted() {
        let parse = |url: &str| PgTarget::parse(url).map(|it| (it.name(), it.trust));
        let (name, trust) = parse("postgres://a:b@db.local/x").expect("a target");
        assert_eq!(name, "PostgreSQL at db.local:5432");
        assert_eq!(trust, Trust::Anybody { required: false });
        let url = "postgresql://a@[::1]:6000/x?sslmode=verify-full&connect_timeout=1&sslrootcert=/a%20b.pem";
        let (name, trust) = parse(url).expect("a target");
        assert_eq!(name, "PostgreSQL at ::1:6000");
        let root = Some(PathBuf::from("/a b.pem"));
        assert_eq!(
            trust,
            Trust::Authority {
                root,
                checks_name: true
            }
        );
    }

    #[test]
    fn refusals_name_what_is_wrong_and_no_password() {
        for (url, what) in [
            ("postgres://a:secret@h/x?sslmode=maybe", "sslmode=maybe"),
            ("postgres://a:secret@h/x?nonsense=1", "nonsense"),
            ("postgres://a:secret@h:port/x", "port"),
            ("postgres://a:12/secret@h/x", "%2F"),
        ] {
            let text = format!("{:#}", PgTarget::parse(url).expect_err("no target"));
            assert!(
                text.contains(what) && text.contains("database_url"),
                "{text}"
            );
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
