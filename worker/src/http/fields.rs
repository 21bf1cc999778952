//! Decides which fields of a request reach the application, and finds those by which a proxy reports TLS.
//!
//! An application that maps names to variables, as WSGI does, cannot tell `X_A` from `X-A`. A client could use
//! that to forge a field that a proxy sets or removes. So such fields are removed here, before other code sees them.

use std::net::IpAddr;

use memchr::memchr;
use oxicorn_common::Settings;
use oxicorn_common::request::{Peer, RequestHead, Scheme, Span};
use oxicorn_common::settings::{HeaderMap, Peers};

use super::RequestError;
use super::peer_trust::PeerTrust;

#[derive(Debug, Clone, Default)]
pub(crate) struct FieldPolicy {
    /// Peers that may speak for clients.
    believed: Peers,
    /// Names, each with the value that means: the client speaks TLS.
    secure_scheme: Vec<(String, String)>,
    /// Names with an underscore that a trusted peer may send; `*` is any.
    forwarder: Vec<String>,
    map: HeaderMap,
}

impl From<&Settings> for FieldPolicy {
    fn from(settings: &Settings) -> Self {
        Self {
            believed: settings.proxy.forwarded_peers.clone(),
            secure_scheme: settings.proxy.secure_scheme_headers.clone(),
            forwarder: settings.proxy.forwarder_headers.clone(),
            map: settings.leniency.header_map,
        }
    }
}

impl FieldPolicy {
    /// Whether that peer, the other end of our own socket, may speak for clients. A peer on a Unix socket
    /// may: the permissions of the socket file have admitted it.
    pub(crate) fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => self.trusts_address(address.ip()),
        }
    }

    fn trusts_address(&self, address: IpAddr) -> bool {
        self.believed.contains(address)
    }

    /// Removes the fields that the application must not see, and returns the scheme of the client.
    pub(crate) fn apply(
        &self,
        head: &mut RequestHead,
        trust: PeerTrust,
    ) -> Result<Scheme, RequestError> {
        // One search of the whole head saves nearly every request the check of each name.
        if self.map != HeaderMap::Dangerous && memchr(b'_', &head.bytes).is_some() {
            self.map_names(head, trust)?;
        }
        let own = match trust.secure {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        match trust.trusted && !self.secure_scheme.is_empty() {
            true => Ok(self.forwarded_scheme(head)?.unwrap_or(own)),
            false => Ok(own),
        }
    }

    fn map_names(&self, head: &mut RequestHead, trust: PeerTrust) -> Result<(), RequestError> {
        let RequestHead { bytes, fields, .. } = head;
        let is_kept = |&(name, _): &(Span, Span)| {
            let name = &bytes[name.start as usize..name.end as usize];
            memchr(b'_', name).is_none() || (trust.trusted && self.may_forward(name))
        };
        match self.map {
            HeaderMap::Refuse if !fields.iter().all(is_kept) => Err(RequestError::Underscore),
            _ => {
                fields.retain(is_kept);
                Ok(())
            }
        }
    }

    fn may_forward(&self, name: &[u8]) -> bool {
        let mut allowed = self.forwarder.iter();
        allowed.any(|it| it == "*" || it.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The scheme that the proxy reports, if any; all its fields must agree.
    fn forwarded_scheme(&self, head: &RequestHead) -> Result<Option<Scheme>, RequestError> {
        let mut said = None;
        for (name, value) in head.fields() {
            let mut secure = self.secure_scheme.iter();
            let Some((_, secure)) = secure.find(|(known, _)| known.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            let scheme = match value == secure.as_bytes() {
                true => Scheme::Https,
                false => Scheme::Http,
            };
            if said.is_some_and(|other| other != scheme) {
                return Err(RequestError::Scheme);
            }
            said = Some(scheme);
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::Scan;
    use crate::http::rules::Rules;

    const PROXY: PeerTrust = PeerTrust {
        trusted: true,
        secure: false,
    };
    const CLIENT: PeerTrust = PeerTrust {
        trusted: false,
        secure: false,
    };

    fn policy() -> FieldPolicy {
        FieldPolicy::from(&Settings::default())
    }

    /// The remaining names, and the scheme.
    fn seen(
        policy: &FieldPolicy,
        trust: PeerTrust,
        fields: &str,
    ) -> Result<(Vec<String>, Scheme), u16> {
        let input = format!("GET / HTTP/1.1\r\n{}\r\n", fields.replace('\n', "\r\n"));
        let (mut scan, mut head) = (Scan::default(), RequestHead::default());
        let rules = Rules::default();
        let end = scan.find_end(input.as_bytes(), &rules).expect("a head");
        scan.parse(input.as_bytes(), end.expect("all of it"), &rules, &mut head)
            .expect("a head");
        let scheme = policy
            .apply(&mut head, trust)
            .map_err(|error| error.status().as_u16())?;
        Ok((
            head.fields().map(|(name, _)| name.to_owned()).collect(),
            scheme,
        ))
    }

    fn names(policy: &FieldPolicy, trust: PeerTrust, fields: &str) -> Result<String, u16> {
        seen(policy, trust, fields).map(|(names, _)| names.join(" "))
    }

    #[test]
    fn names_with_an_underscore_are_dropped_refused_or_kept() {
        let fields = "A: _\nA_B: c\nScript_Name: d\nE: f\n";
        let mut policy = policy();
        assert_eq!(names(&policy, CLIENT, fields), Ok("A E".to_owned()));
        assert_eq!(
            names(&policy, PROXY, fields),
            Ok("A Script_Name E".to_owned())
        );
        policy.map = HeaderMap::Refuse;
        assert_eq!(names(&policy, CLIENT, fields), Err(400));
        assert_eq!(names(&policy, CLIENT, "A: _\n"), Ok("A".to_owned()));
        assert_eq!(
            names(&policy, PROXY, "SCRIPT_NAME: /a\n"),
            Ok("SCRIPT_NAME".to_owned())
        );
        policy.map = HeaderMap::Dangerous;
        assert_eq!(
            names(&policy, CLIENT, fields),
            Ok("A A_B Script_Name E".to_owned())
        );
        policy.map = HeaderMap::Drop;
        policy.forwarder = vec!["*".to_owned()];
        assert_eq!(
            names(&policy, PROXY, fields),
            Ok("A A_B Script_Name E".to_owned())
        );
        assert_eq!(names(&policy, CLIENT, fields), Ok("A E".to_owned()));
    }

    #[test]
    fn a_proxy_that_is_believed_tells_the_scheme() {
        let scheme = |trust, fields| seen(&policy(), trust, fields).map(|(_, scheme)| scheme);
        for https in [
            "X-Forwarded-Proto: https\n",
            "x-forwarded-ssl: on\n",
            "X-FORWARDED-PROTOCOL: ssl\nX-Forwarded-Proto: https\n",
        ] {
            assert_eq!(scheme(PROXY, https), Ok(Scheme::Https), "{https}");
            assert_eq!(scheme(CLIENT, https), Ok(Scheme::Http), "{https}");
        }
        for http in ["", "X-Forwarded-Proto: HTTPS\n", "X-Forwarded-Ssl: off\n"] {
            assert_eq!(scheme(PROXY, http), Ok(Scheme::Http), "{http}");
        }
        let contradiction = "X-Forwarded-Ssl: on\nX-Forwarded-Proto: http\n";
        assert_eq!(scheme(PROXY, contradiction), Err(400));
        assert_eq!(scheme(CLIENT, contradiction), Ok(Scheme::Http));
        let over_tls = PeerTrust {
            secure: true,
            ..CLIENT
        };
        assert_eq!(scheme(over_tls, ""), Ok(Scheme::Https));
        assert_eq!(
            scheme(over_tls, "X-Forwarded-Proto: http\n"),
            Ok(Scheme::Https)
        );
    }

    #[test]
    fn who_is_believed_by_default_is_this_machine() {
        let tcp = |address: &str| Peer::Tcp(address.parse().expect("an address"));
        assert!(policy().trusts(Peer::Unix) && policy().trusts(tcp("127.0.0.1:1")));
        assert!(policy().trusts(tcp("[::ffff:127.0.0.1]:1")) && policy().trusts(tcp("[::1]:1")));
        assert!(!policy().trusts(tcp("127.0.0.2:1")) && !policy().trusts(tcp("[::2]:1")));
    }
}
