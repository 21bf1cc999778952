//! Who may ask the admin process.
//!
//! With a token, those who send it: no page can. With client certificates, those who have shown one: the handshake has seen
//! to that. With neither, the processes of this machine.
//!
//! A browser is one of these, and shows a certificate by itself, and it runs the code of strangers: so a request that a page
//! of another origin makes is refused. Without certificates so is one whose `Host` is not the loopback interface, because a
//! page may let its own name point to 127.0.0.1 (DNS rebinding). No browser reaches a Unix socket, whose file has its own
//! permissions.

use std::borrow::Cow;

use oxicorn_common::request::{Peer, Request};
use oxicorn_common::settings::is_local_host;

use crate::token::AdminToken;

#[derive(Debug)]
pub(crate) struct AccessRules {
    token: Option<AdminToken>,
    /// Clients have to show a certificate.
    certificates: bool,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessDenied {
    NoToken,
    WrongToken,
    OtherMachine,
    OtherHost,
    OtherOrigin,
}

impl AccessRules {
    pub(crate) fn new(token: Option<AdminToken>, certificates: bool) -> Self {
        Self {
            token,
            certificates,
        }
    }

    /// As [`AccessRules::check`], for a request for what is the same for everybody: it needs no token.
    pub(crate) fn check_public(&self, request: &Request) -> Result<(), AccessDenied> {
        match self.token {
            Some(_) => Ok(()),
            None => self.check(request),
        }
    }

    pub(crate) fn check(&self, request: &Request) -> Result<(), AccessDenied> {
        if let Some(token) = &self.token {
            return match request.field("authorization") {
                None => Err(AccessDenied::NoToken),
                Some(field) if token.is_in(field) => Ok(()),
                Some(_) => Err(AccessDenied::WrongToken),
            };
        }
        match request.peer {
            Peer::Unix => Ok(()),
            Peer::Tcp(_) if self.certificates => check_origin(request),
            Peer::Tcp(peer) if !peer.ip().to_canonical().is_loopback() => {
                Err(AccessDenied::OtherMachine)
            }
            Peer::Tcp(_) => check_host(request).and_then(|()| check_origin(request)),
        }
    }
}

fn text_of<'a>(request: &'a Request, field: &str) -> Option<Cow<'a, str>> {
    request.field(field).map(String::from_utf8_lossy)
}

fn check_host(request: &Request) -> Result<(), AccessDenied> {
    let host = text_of(request, "host").unwrap_or_default();
    let asked = authority(request.head.target());
    match [Some(&*host), asked].into_iter().flatten().all(is_ours) {
        true => Ok(()),
        false => Err(AccessDenied::OtherHost),
    }
}

fn check_origin(request: &Request) -> Result<(), AccessDenied> {
    let host = text_of(request, "host").unwrap_or_default();
    if let Some(origin) = text_of(request, "origin")
        && authority(&origin) != Some(&*host)
    {
        return Err(AccessDenied::OtherOrigin);
    }
    // https://www.w3.org/TR/fetch-metadata/. A link to a page here may be followed; a frame or an image is no link.
    let is_link = text_of(request, "sec-fetch-dest").as_deref() == Some("document");
    match text_of(request, "sec-fetch-site").as_deref() {
        Some("cross-site" | "same-site") if !is_link => Err(AccessDenied::OtherOrigin),
        _ => Ok(()),
    }
}

/// Whether an authority is the loopback interface, with any port: a tunnel may have another. A client of HTTP/1.0, which is no
/// browser, may send none.
fn is_ours(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    host.is_none_or(|host| host.is_empty() || is_local_host(host))
}

/// The authority of a URL, as in an `Origin` field or a target in absolute form.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?']).next()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use oxicorn_common::request::Span;

    use super::*;

    /// A request for `target` with these fields, from `peer`, which is a Unix socket if it is empty.
    fn request(peer: &str, target: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        let head = &mut request.head;
        let mut add = |text: &str| {
            let start = head.bytes.len() as u32;
            head.bytes.extend_from_slice(text.as_bytes());
            let end = head.bytes.len() as u32;
            Span { start, end }
        };
        let target = add(target);
        let fields = fields.iter().map(|(name, value)| (add(name), add(value)));
        let fields = fields.collect();
        (head.target, head.fields) = (target, fields);
        if !peer.is_empty() {
            request.peer = Peer::Tcp(peer.parse::<SocketAddr>().expect("an address"));
        }
        request
    }

    const LOCAL: &str = "127.0.0.1:40000";

    fn open(peer: &str, fields: &[(&str, &str)]) -> Result<(), AccessDenied> {
        AccessRules::new(None, false).check(&request(peer, "/metrics", fields))
    }

    #[test]
    fn without_credentials_this_machine_may_ask() {
        let host = [("Host", "localhost:9108")];
        assert_eq!(open(LOCAL, &host), Ok(()));
        assert_eq!(open("[::1]:40000", &host), Ok(()));
        assert_eq!(open("[::ffff:127.0.0.1]:40000", &host), Ok(()));
        assert_eq!(
            open("10.0.0.7:40000", &host),
            Err(AccessDenied::OtherMachine)
        );
        assert_eq!(
            open("", &[("Host", "evil.example")]),
            Ok(()),
            "a Unix socket"
        );
    }

    #[test]
    fn a_name_that_is_not_of_this_machine_is_refused() {
        for ours in [
            "localhost",
            "LOCALHOST:1",
            "a.localhost:9108",
            "127.0.0.1:9108",
            "127.9.9.9",
            "[::1]:9108",
            "",
        ] {
            assert_eq!(open(LOCAL, &[("Host", ours)]), Ok(()), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:9108",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9108",
            "10.0.0.1:9108",
            "[::2]:9108",
        ] {
            let denied = open(LOCAL, &[("Host", foreign)]);
            assert_eq!(denied, Err(AccessDenied::OtherHost), "{foreign}");
        }
        let rules = AccessRules::new(None, false);
        let absolute = request(
            LOCAL,
            "http://evil.example/metrics",
            &[("Host", "localhost")],
        );
        assert_eq!(rules.check(&absolute), Err(AccessDenied::OtherHost));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let with = |name, value| open(LOCAL, &[("Host", "localhost:9108"), (name, value)]);
        assert_eq!(with("Origin", "http://localhost:9108"), Ok(()));
        for foreign in ["http://evil.example", "null", "http://localhost:8000"] {
            assert_eq!(with("Origin", foreign), Err(AccessDenied::OtherOrigin));
        }
        assert_eq!(with("Sec-Fetch-Site", "same-origin"), Ok(()));
        assert_eq!(with("Sec-Fetch-Site", "none"), Ok(()));
        let denied = with("Sec-Fetch-Site", "cross-site");
        assert_eq!(denied, Err(AccessDenied::OtherOrigin));
        let link = [
            ("Host", "localhost:9108"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Dest", "document"),
        ];
        assert_eq!(open(LOCAL, &link), Ok(()));
    }

    #[test]
    fn a_certificate_stands_for_the_place() {
        let rules = AccessRules::new(None, true);
        let far = request("10.0.0.7:40000", "/", &[("Host", "metrics.example")]);
        assert_eq!(rules.check(&far), Ok(()));
        // A browser shows it for whatever page.
        let foreign = [
            ("Host", "metrics.example"),
            ("Origin", "https://evil.example"),
        ];
        let page = request("10.0.0.7:40000", "/", &foreign);
        assert_eq!(rules.check(&page), Err(AccessDenied::OtherOrigin));
    }
}
