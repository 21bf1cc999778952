//! The rules for the settings of the admin process that concern more than one row.

use super::parse::Parsed;
use super::values::Settings;
use crate::address::Address;

const SHORTEST_TOKEN: usize = 16;

/// A value that must not be, with the name of its setting and what would be right.
pub(super) struct AdminProblem {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) expected: String,
}

/// A secret that fits into an `Authorization` field (RFC 6750) and cannot be guessed.
pub fn admin_token(text: &str) -> Parsed<String> {
    match text.len() >= SHORTEST_TOKEN && text.bytes().all(|it| it.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{SHORTEST_TOKEN} or more visible ASCII characters, such as those of openssl rand -hex 32"
        )),
    }
}

/// The first value that does not go with the others.
pub(super) fn find_problem(settings: &Settings) -> Option<AdminProblem> {
    let admin = &settings.admin;
    let shown = |path: &std::path::PathBuf| path.display().to_string();
    if admin.tls.certfile.is_none() {
        let lonely = [
            ("admin_keyfile", &admin.tls.keyfile),
            ("admin_ca_certs", &admin.tls.ca_certs),
        ];
        let lonely = lonely.into_iter().find_map(|(name, file)| {
            let value = file.as_ref().map(shown)?;
            Some((name, value))
        });
        if let Some((name, value)) = lonely {
            let expected = "an admin_certfile beside it".to_owned();
            return Some(AdminProblem {
                name,
                value,
                expected,
            });
        }
    }
    let problem = |address: &Address, expected: String| AdminProblem {
        name: "admin_bind",
        value: address.to_string(),
        expected,
    };
    for address in &admin.bind {
        if let Some(public) = settings.bind.iter().find(|it| overlaps(it, address)) {
            let expected = format!("an address that bind does not have: it has {public}");
            return Some(problem(address, expected));
        }
        if !admin.has_credentials() && !is_local(address) {
            let expected = "an address of the loopback interface or unix:PATH; for one that other \
                            hosts reach, set admin_token, admin_token_file or admin_ca_certs";
            return Some(problem(address, expected.to_owned()));
        }
    }
    None
}

/// Whether a socket at one address would take connections that are meant for the other.
fn overlaps(one: &Address, other: &Address) -> bool {
    let (Address::Tcp { host, port }, Address::Tcp { host: h, port: p }) = (one, other) else {
        return one == other;
    };
    let name = |host: &str| match host {
        "localhost" => "127.0.0.1".to_owned(),
        host => host.to_owned(),
    };
    let is_any = |host: &str| matches!(host, "0.0.0.0" | "::");
    *port != 0 && port == p && (name(host) == name(h) || is_any(host) || is_any(h))
}

/// Whether only processes of this machine reach the address. A descriptor is looked at when it is there.
pub fn is_local(address: &Address) -> bool {
    match address {
        Address::Tcp { host, .. } => is_local_host(host),
        Address::Unix(_) | Address::Fd(_) => true,
    }
}

/// Whether a host, as a name or an address, is the loopback interface (RFC 6761 section 6.3).
pub fn is_local_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|it| it.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bind: &str, admin: &str, token: Option<&str>) -> Option<String> {
        let mut settings = Settings {
            bind: vec![bind.parse().expect("an address")],
            ..Settings::default()
        };
        settings.admin.bind = vec![admin.parse().expect("an address")];
        settings.admin.token = token.map(str::to_owned);
        find_problem(&settings).map(|it| it.expected)
    }

    #[test]
    fn an_address_of_bind_is_refused() {
        for (bind, admin) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("127.0.0.1:8000", "localhost:8000"),
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:8000", "[::1]:8000"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("fd://3", "fd://3"),
        ] {
            let expected = problem(bind, admin, None).expect("a problem");
            assert!(expected.contains("bind does not have"), "{expected}");
        }
        for (bind, admin) in [
            ("127.0.0.1:8000", "127.0.0.1:9108"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("10.0.0.1:8000", "127.0.0.1:8000"),
            ("unix:/run/a.sock", "unix:/run/b.sock"),
        ] {
            assert_eq!(problem(bind, admin, None), None, "{bind} {admin}");
        }
    }

    #[test]
    fn an_address_that_other_hosts_reach_needs_credentials() {
        for open in [
            ":9108",
            "10.0.0.1:9108",
            "[::]:9108",
            "metrics.example:9108",
        ] {
            let expected = problem("127.0.0.1:8000", open, None).expect("a problem");
            assert!(expected.contains("set admin_token"), "{expected}");
            let token = Some("0123456789abcdef");
            assert_eq!(problem("127.0.0.1:8000", open, token), None);
        }
        for local in ["localhost:9108", "127.1.2.3:9108", "[::1]:9108", "unix:a"] {
            assert_eq!(problem("127.0.0.1:8000", local, None), None, "{local}");
        }
    }

    #[test]
    fn client_certificates_need_a_certificate() {
        let mut settings = Settings::default();
        settings.admin.tls.ca_certs = Some("ca.pem".into());
        let problem = find_problem(&settings).expect("a problem");
        assert_eq!(problem.name, "admin_ca_certs");
    }

    #[test]
    fn tokens_are_long_and_fit_into_a_field() {
        assert!(admin_token("0123456789abcdef").is_ok());
        for text in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdeé"] {
            assert!(admin_token(text).is_err(), "{text}");
        }
    }
}
