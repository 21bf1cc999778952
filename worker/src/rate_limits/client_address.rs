//! [`LimitedClient`]: the client that a request is counted for. Behind proxies that is the last address in the chain that no
//! trusted proxy has.
//!
//! ```text
//!   X-Forwarded-For: 192.0.2.9, 203.0.113.7, 10.0.0.3        socket: 10.0.0.2
//!                    ^          ^            ^ trusted       ^ trusted (forwarded_allow_ips)
//!                    |          the client: the first, from the right, that is not trusted
//!                    whatever the client has written
//! ```
//!
//! Each proxy adds the address that it has the request from at the right. So everything to the left of an address that is
//! not trusted is the client's own text, and nobody gets a new bucket by writing another one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use oxicorn_common::request::{Peer, RequestHead};
use oxicorn_common::settings::Peers;

const FIELD: &[u8] = b"x-forwarded-for";

/// An IPv4 address mapped to IPv6 is an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedClient {
    Address(IpAddr),
    /// All clients of a Unix socket that no proxy names.
    Local,
}

/// What stands for the client in a hash and in Redis: an IPv6 network of 64 bits is one client, as it can have any address
/// in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientKey {
    octets: [u8; 8],
    length: usize,
}

impl LimitedClient {
    /// The client of a request that came from `peer`. `believed` may name clients; a Unix socket may, too.
    pub(crate) fn of(peer: Peer, head: &RequestHead, believed: &Peers) -> Self {
        let mut client = match peer {
            Peer::Tcp(address) => Self::Address(address.ip().to_canonical()),
            Peer::Unix => Self::Local,
        };
        if !client.may_name_others(believed) {
            return client;
        }
        let lines = head.field_octets();
        let lines = lines.filter(|(name, _)| name.eq_ignore_ascii_case(FIELD));
        let lines: Vec<&[u8]> = lines.map(|(_, value)| value).collect();
        let named = lines
            .iter()
            .rev()
            .flat_map(|it| it.rsplit(|&it| it == b','));
        for text in named {
            // What is no address was not written by a proxy that tells addresses.
            let Some(address) = parse(text) else {
                return client;
            };
            client = Self::Address(address);
            // Where everybody is trusted, only the nearest proxy is known to be one.
            if believed.is_everybody() || !client.may_name_others(believed) {
                return client;
            }
        }
        client
    }

    pub(crate) fn key(self) -> ClientKey {
        let mut octets = [0; 8];
        let length = match self {
            Self::Address(IpAddr::V4(address)) => {
                octets[..4].copy_from_slice(&address.octets());
                4
            }
            Self::Address(IpAddr::V6(address)) => {
                octets.copy_from_slice(&address.octets()[..8]);
                8
            }
            Self::Local => 0,
        };
        ClientKey { octets, length }
    }

    /// Whether it is one of `peers`; a local client has no address.
    pub(crate) fn is_among(self, peers: &Peers) -> bool {
        matches!(self, Self::Address(address) if peers.contains(address))
    }

    fn may_name_others(self, believed: &Peers) -> bool {
        match self {
            Self::Address(address) => believed.contains(address),
            Self::Local => true,
        }
    }
}

impl ClientKey {
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl fmt::Display for LimitedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            Self::Address(address) => write!(f, "{address}"),
            Self::Local => f.write_str("local"),
        }
    }
}

/// An address, as some proxies write it with a port and others without.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let plain = text.parse::<IpAddr>();
    let address = plain.or_else(|_| match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or((rest, "?"));
            match port.is_empty() || is_port(port) {
                true => address.parse::<Ipv6Addr>().map(IpAddr::V6),
                false => plain_error(),
            }
        }
        None => match text.split_once(':') {
            Some((address, _)) if is_port(&text[address.len()..]) => address.parse(),
            _ => plain_error(),
        },
    });
    address.ok().map(|it| it.to_canonical())
}

fn plain_error() -> Result<IpAddr, std::net::AddrParseError> {
    "".parse::<IpAddr>()
}

/// `:` and digits.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use oxicorn_common::Settings;

    use super::*;
    use crate::http::Rules;
    use crate::http::head::Scan;

    fn believed(list: &str) -> Peers {
        let mut settings = Settings::default();
        let row = oxicorn_common::settings::SETTINGS.iter();
        let row = row.clone().find(|it| it.name == "forwarded_allow_ips");
        (row.expect("the row").apply)(&mut settings, list).expect(list);
        settings.proxy.forwarded_peers
    }

    fn client(peer: &str, list: &str, fields: &str) -> String {
        let input = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let (mut scan, mut head) = (Scan::default(), RequestHead::default());
        let rules = Rules::default();
        let end = scan.find_end(input.as_bytes(), &rules).expect("a head");
        scan.parse(input.as_bytes(), end.expect("all of it"), &rules, &mut head)
            .expect("a head");
        let peer = match peer {
            "unix" => Peer::Unix,
            peer => Peer::Tcp(peer.parse().expect(peer)),
        };
        LimitedClient::of(peer, &head, &believed(list)).to_string()
    }

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let proxies = "10.0.0.0/8,fd00::/8";
        for (peer, list, fields, expected) in [
            (
                "192.0.2.1:5",
                proxies,
                "X-Forwarded-For: 1.2.3.4\r\n",
                "192.0.2.1",
            ),
            ("10.0.0.1:5", proxies, "", "10.0.0.1"),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 1.2.3.4\r\n",
                "1.2.3.4",
            ),
            (
                "[::ffff:10.0.0.1]:5",
                proxies,
                "x-forwarded-for: ::ffff:1.2.3.4\r\n",
                "1.2.3.4",
            ),
            // What a client has written stands to the left of its own address.
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n",
                "1.2.3.4",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 9.9.9.9,1.2.3.4 , 10.0.0.7\r\n",
                "1.2.3.4",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n",
                "1.2.3.4",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n",
                "10.0.0.9",
            ),
            // Nothing that is no address makes a new client, or hides one.
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 9.9.9.9, unknown\r\n",
                "10.0.0.1",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 9.9.9.9, , 10.0.0.7\r\n",
                "10.0.0.7",
            ),
            ("10.0.0.1:5", proxies, "X-Forwarded-For:\r\n", "10.0.0.1"),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 1.2.3.4:567\r\n",
                "1.2.3.4",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: [2001:db8:1:2:3::4]:567\r\n",
                "2001:db8:1:2::/64",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: [2001:db8::1]x\r\n",
                "10.0.0.1",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: [1.2.3.4]\r\n",
                "10.0.0.1",
            ),
            (
                "10.0.0.1:5",
                proxies,
                "X-Forwarded-For: 1.2.3.4:x\r\n",
                "10.0.0.1",
            ),
            (
                "[fd00::1]:5",
                proxies,
                "X-Forwarded-For: 2001:db8:1:2:ffff::1\r\n",
                "2001:db8:1:2::/64",
            ),
            // With * there may be anybody to the left of the nearest proxy.
            (
                "192.0.2.1:5",
                "*",
                "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n",
                "1.2.3.4",
            ),
            ("unix", "", "", "local"),
            (
                "unix",
                "",
                "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n",
                "1.2.3.4",
            ),
            (
                "unix",
                "10.0.0.0/8",
                "X-Forwarded-For: 9.9.9.9, 1.2.3.4, 10.0.0.1\r\n",
                "1.2.3.4",
            ),
            (
                "192.0.2.1:5",
                "",
                "X-Forwarded-For: 1.2.3.4\r\n",
                "192.0.2.1",
            ),
        ] {
            assert_eq!(
                client(peer, list, fields),
                expected,
                "{peer} {list} {fields}"
            );
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_a_mapped_address_is_ipv4() {
        let key = |text: &str| {
            LimitedClient::Address(text.parse::<IpAddr>().expect(text).to_canonical()).key()
        };
        assert_eq!(
            key("2001:db8:1:2::1"),
            key("2001:db8:1:2:ffff:ffff:ffff:ffff")
        );
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:1.2.3.4"), key("1.2.3.4"));
        assert_ne!(key("1.2.3.4").octets(), key("102:304::").octets());
        assert_ne!(key("0.0.0.0").octets(), LimitedClient::Local.key().octets());
    }
}
