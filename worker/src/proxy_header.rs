//! The header of the PROXY protocol, versions 1 and 2, by which a proxy names the client of a connection
//! (HAProxy's doc/proxy-protocol.txt). Bytes in, addresses out; no I/O.
//!
//! Nothing marks a connection that has no header. But no HTTP request can begin like a header, so anything that does
//! not look like one is the client's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use memchr::memchr;
use oxicorn_common::settings::ProxyProtocol;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, including its CRLF.
const V1_LONGEST: usize = 107;
/// The signature, version and command, family and transport, and the length of the rest.
const V2_FIXED: usize = 16;

/// The first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Too few bytes to decide.
    Unknown,
    /// The client's own bytes.
    Client,
    V1,
    V2,
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// Its length in octets.
    pub(crate) length: usize,
    /// The addresses, unless it leaves them to the sockets.
    pub(crate) route: Option<Route>,
}

/// The two ends of the client's connection to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// The error in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

/// Tells a header of the versions that `mode` admits from a client's own bytes.
pub(crate) fn begins_with(input: &[u8], mode: ProxyProtocol) -> Beginning {
    let candidates = match mode {
        ProxyProtocol::Off => &[][..],
        ProxyProtocol::V1 => &[(V1_PREFIX, Beginning::V1)],
        ProxyProtocol::V2 => &[(V2_SIGNATURE, Beginning::V2)],
        ProxyProtocol::Auto => &[(V1_PREFIX, Beginning::V1), (V2_SIGNATURE, Beginning::V2)],
    };
    for &(mark, version) in candidates {
        if input.starts_with(mark) {
            return version;
        }
        if mark.starts_with(input) {
            return Beginning::Unknown;
        }
    }
    Beginning::Client
}

/// Reads a header of version 1; `None` while its line has no end.
pub(crate) fn read_v1(input: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    let within = &input[..input.len().min(V1_LONGEST)];
    let Some(lf) = memchr(b'\n', within) else {
        return match input.len() < V1_LONGEST {
            true => Ok(None),
            false => Err(Malformed("the line is longer than 107 octets")),
        };
    };
    let line = within[..lf].strip_suffix(b"\r");
    let line = line.ok_or(Malformed("the line ends in a bare LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed("the line is no ASCII"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let route = match words[..] {
        // The rest of the line must be ignored.
        [_, "UNKNOWN", ..] => None,
        [_, family @ ("TCP4" | "TCP6"), source, destination, from, to] => Some(Route {
            source: SocketAddr::new(address(family, source)?, port(from)?),
            destination: SocketAddr::new(address(family, destination)?, port(to)?),
        }),
        [_, "TCP4" | "TCP6", ..] => {
            return Err(Malformed("it takes two addresses and two ports"));
        }
        _ => return Err(Malformed("the family is not TCP4, TCP6 or UNKNOWN")),
    };
    Ok(Some(ProxyHeader {
        length: lf + 1,
        route,
    }))
}

fn address(family: &str, text: &str) -> Result<IpAddr, Malformed> {
    let address = match family {
        "TCP4" => text.parse().map(IpAddr::V4),
        _ => text.parse().map(IpAddr::V6),
    };
    address.map_err(|_| Malformed("an address is none of its family"))
}

fn port(text: &str) -> Result<u16, Malformed> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = text.len() > 1 && text.starts_with('0');
    match text.parse() {
        Ok(port) if is_number && !leads_with_zero => Ok(port),
        _ => Err(Malformed("a port is no number from 0 to 65535")),
    }
}

/// Reads a header of version 2; `None` while it is incomplete.
pub(crate) fn read_v2(input: &[u8]) -> Result<Option<ProxyHeader>, Malformed> {
    let Some((fixed, rest)) = input.split_first_chunk::<V2_FIXED>() else {
        return Ok(None);
    };
    let [.., version_and_command, family_and_transport, high, low] = *fixed;
    if version_and_command >> 4 != 2 {
        return Err(Malformed("the version is not 2"));
    }
    let is_local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Malformed("the command is neither LOCAL nor PROXY")),
    };
    let size = usize::from(u16::from_be_bytes([high, low]));
    let Some(addresses) = rest.get(..size) else {
        return Ok(None);
    };
    let route = match family_and_transport {
        _ if is_local => None,
        0x11 => Some(route_v4(addresses)?),
        0x21 => Some(route_v6(addresses)?),
        // Unspecified, or a Unix socket of the proxy's: such an address means nothing here.
        0x00 | 0x31 => None,
        _ => return Err(Malformed("the transport is not TCP")),
    };
    Ok(Some(ProxyHeader {
        length: V2_FIXED + size,
        route,
    }))
}

const TOO_SHORT: Malformed = Malformed("it is too short for its addresses");

fn route_v4(bytes: &[u8]) -> Result<Route, Malformed> {
    let (addresses, _) = bytes.split_first_chunk::<12>().ok_or(TOO_SHORT)?;
    let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
    Ok(route(
        Ipv4Addr::new(a, b, c, d).into(),
        Ipv4Addr::new(e, f, g, h).into(),
        ports,
    ))
}

fn route_v6(bytes: &[u8]) -> Result<Route, Malformed> {
    let (source, rest) = bytes.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(TOO_SHORT)?;
    let (ports, _) = rest.split_first_chunk::<4>().ok_or(TOO_SHORT)?;
    Ok(route(
        Ipv6Addr::from(*source).into(),
        Ipv6Addr::from(*destination).into(),
        *ports,
    ))
}

fn route(source: IpAddr, destination: IpAddr, [a, b, c, d]: [u8; 4]) -> Route {
    Route {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for `input`, which arrives byte by byte and then has more after it.
    fn read(input: &[u8], mode: ProxyProtocol) -> Result<Option<ProxyHeader>, Malformed> {
        let followed = [input, b"GET / HTTP/1.1\r\n"].concat();
        let whole = read_at_once(&followed, mode);
        for end in 0..=input.len() {
            let part = read_at_once(&followed[..end], mode);
            match part {
                // An error may show before the end, and must not disappear.
                Err(_) => assert_eq!(part, whole, "cut at {end}"),
                Ok(Some(header)) => assert!(end == input.len() && header.length == end),
                Ok(None) => assert!(end < input.len() || whole.is_err() || whole == Ok(None)),
            }
        }
        whole
    }

    fn read_at_once(input: &[u8], mode: ProxyProtocol) -> Result<Option<ProxyHeader>, Malformed> {
        match begins_with(input, mode) {
            Beginning::Unknown | Beginning::Client => Ok(None),
            Beginning::V1 => read_v1(input),
            Beginning::V2 => read_v2(input),
        }
    }

    fn routed(source: &str, destination: &str) -> Option<Route> {
        Some(Route {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
        })
    }

    fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let size = u16::try_from(content.len()).expect("short");
        let fixed = [V2_SIGNATURE, &[0x20 | command, family], &size.to_be_bytes()];
        [&fixed.concat(), content].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 7, 0x30, 0x39, 0x01, 0xbb];

    #[test]
    fn lines_of_version_1() {
        for (line, route) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.7 12345 443",
                routed("192.0.2.1:12345", "198.51.100.7:443"),
            ),
            (
                "PROXY TCP6 2001:db8::1 ::2 0 65535",
                routed("[2001:db8::1]:0", "[::2]:65535"),
            ),
            ("PROXY UNKNOWN", None),
            (
                "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
                None,
            ),
        ] {
            let header = read(format!("{line}\r\n").as_bytes(), ProxyProtocol::Auto);
            let length = line.len() + 2;
            assert_eq!(header, Ok(Some(ProxyHeader { length, route })), "{line}");
        }
    }

    #[test]
    fn mistakes_of_version_1() {
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.7 12345 443\n",
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.7  2\r\n",
            "PROXY \u{e4}\r\n",
        ] {
            assert!(read(line.as_bytes(), ProxyProtocol::V1).is_err(), "{line}");
        }
        let endless = format!("PROXY UNKNOWN {}", "a".repeat(V1_LONGEST));
        assert!(read_v1(endless.as_bytes()).is_err());
    }

    #[test]
    fn headers_of_version_2() {
        let v6: Vec<u8> = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 80, 1, 0xbb]].concat();
        let with_extras = [V4, &[0x04, 0, 2, 9, 9]].concat();
        for (header, route) in [
            (
                v2(1, 0x11, V4),
                routed("192.0.2.1:12345", "198.51.100.7:443"),
            ),
            (
                v2(1, 0x11, &with_extras),
                routed("192.0.2.1:12345", "198.51.100.7:443"),
            ),
            (v2(1, 0x21, &v6), routed("[::1]:80", "[::2]:443")),
            (v2(0, 0x00, b""), None),
            (v2(0, 0x11, V4), None),
            (v2(1, 0x00, b"whatever"), None),
            (v2(1, 0x31, &[b'a'; 216]), None),
        ] {
            let length = header.len();
            let read = read(&header, ProxyProtocol::Auto);
            assert_eq!(read, Ok(Some(ProxyHeader { length, route })), "{header:?}");
        }
        let longest = v2(1, 0x00, &vec![0; 65535]);
        assert_eq!(read_v2(&longest[..longest.len() - 1]), Ok(None));
        assert!(read_v2(&longest).is_ok_and(|it| it.is_some()));
    }

    #[test]
    fn mistakes_of_version_2() {
        let version_1 = [V2_SIGNATURE, &[0x11, 0x11, 0, 12], V4].concat();
        for header in [
            version_1,
            v2(2, 0x11, V4),
            v2(1, 0x12, V4),
            v2(1, 0x11, &V4[..11]),
            v2(1, 0x21, V4),
        ] {
            assert!(read(&header, ProxyProtocol::V2).is_err(), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_the_clients() {
        let v1 = b"PROXY UNKNOWN\r\n";
        let v2 = v2(0, 0, b"");
        for (input, mode) in [
            (&b"GET / HTTP/1.1\r\n"[..], ProxyProtocol::Auto),
            (b"PRI * HTTP/2.0\r\n", ProxyProtocol::Auto),
            (b"\r\n\r\nGET / HTTP/1.1", ProxyProtocol::Auto),
            (b"\x16\x03\x01", ProxyProtocol::Auto),
            (v1, ProxyProtocol::V2),
            (&v2, ProxyProtocol::V1),
            (v1, ProxyProtocol::Off),
        ] {
            assert_eq!(begins_with(input, mode), Beginning::Client, "{input:?}");
        }
        for input in [&b""[..], b"\r\n\r\n", b"P", b"PROXY"] {
            assert_eq!(begins_with(input, ProxyProtocol::Auto), Beginning::Unknown);
        }
    }
}
