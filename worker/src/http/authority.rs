//! The server that a request is for: `uri-host [":" port]` (RFC 9110 section 7.2), from the target if that has an
//! authority, otherwise from the field `Host` (RFC 9112 section 3.3).
//!
//! If two readers disagree on the server, one tenant gets another's page. So anything that is not a host is rejected,
//! and afterwards `Host` always agrees with the target.

use std::net::Ipv6Addr;

use oxicorn_common::request::{RequestHead, Span, Version};

use super::RequestError;
use super::peer_trust::PeerTrust;
use super::target::{Absolute, are_uri_bytes};

const HOST: &[u8] = b"host";

/// Rejects a request that does not name its server, or names it incorrectly. The authority of an absolute-form
/// target replaces the value of `Host` (RFC 9112 section 3.2.2).
pub(crate) fn settle(head: &mut RequestHead, trust: PeerTrust) -> Result<(), RequestError> {
    let RequestHead { bytes, fields, .. } = &*head;
    let is_host = |&(name, _): &(Span, Span)| {
        name.end - name.start == 4 && slice(bytes, name).eq_ignore_ascii_case(HOST)
    };
    let at = fields.iter().position(is_host);
    let value = match at {
        Some(at) if fields[at + 1..].iter().any(is_host) => return Err(RequestError::Host),
        Some(at) => Some(slice(bytes, fields[at].1)),
        None => None,
    };
    let target = head.target();
    let absolute = Absolute::of(target);
    if let Some(absolute) = &absolute
        && absolute.secure
        && !trust.secure
        && !trust.trusted
    {
        return Err(RequestError::Misdirected);
    }
    match value {
        None if head.version == Version::Http10 => {}
        None => return Err(RequestError::Host),
        // Without a server in target or field there is no `http` URI (RFC 9110 section 4.2.1). HTTP/1.0 did not
        // ask for one, and `*` is not a URI.
        Some(b"") if absolute.is_none() && (head.version == Version::Http10 || target == "*") => {}
        Some(value) if is_authority(value) => {}
        Some(_) => return Err(RequestError::Host),
    }
    if let Some(absolute) = absolute {
        let start = head.target.start + absolute.start;
        let end = start + absolute.length;
        replace(head, at, Span { start, end });
    }
    Ok(())
}

/// Makes `authority`, a part of the target, the value of `Host`.
fn replace(head: &mut RequestHead, at: Option<usize>, authority: Span) {
    if let Some(at) = at {
        head.fields[at].1 = authority;
        return;
    }
    // The head must stay readable: a sibling may have to parse it again.
    let value = slice(&head.bytes, authority).to_vec();
    head.bytes.truncate(head.bytes.len().saturating_sub(2));
    let start = head.bytes.len();
    head.bytes.extend_from_slice(b"Host: ");
    head.bytes.extend_from_slice(&value);
    head.bytes.extend_from_slice(b"\r\n\r\n");
    let span = |from: usize, length: usize| Span {
        start: u32::try_from(from).unwrap_or(u32::MAX),
        end: u32::try_from(from + length).unwrap_or(u32::MAX),
    };
    head.fields.push((
        span(start, HOST.len()),
        span(start + HOST.len() + 2, value.len()),
    ));
}

fn slice(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..span.end as usize]
}

/// `uri-host [":" port]`: the host is not empty, and the port is a number or empty (RFC 3986 section 3.2.3).
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (is_host, rest) = match text {
        [b'[', literal @ ..] => {
            let Some(end) = memchr::memchr(b']', literal) else {
                return false;
            };
            (is_literal(&literal[..end]), &literal[end + 1..])
        }
        _ => {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            (is_name(&text[..end]), &text[end..])
        }
    };
    is_host
        && match rest {
            [] => true,
            [b':', port @ ..] => is_port(port),
            _ => false,
        }
}

/// A registered name or an IPv4 address (RFC 3986 section 3.2.2).
fn is_name(name: &[u8]) -> bool {
    let is_allowed = |&byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b',' | b';' | b'='
            )
    };
    !name.is_empty() && name.iter().all(is_allowed) && are_uri_bytes(name)
}

/// The text in brackets: an IPv6 address without a zone (RFC 9844), or an address of a future version.
fn is_literal(literal: &[u8]) -> bool {
    match literal {
        [b'v' | b'V', rest @ ..] => {
            let dot = memchr::memchr(b'.', rest).unwrap_or(0);
            let (version, address) = rest.split_at(dot);
            let is_allowed = |&byte: &u8| byte == b':' || (byte != b'%' && is_name(&[byte]));
            dot > 0
                && version.iter().all(u8::is_ascii_hexdigit)
                && address.len() > 1
                && address.iter().all(is_allowed)
        }
        _ => std::str::from_utf8(literal).is_ok_and(|it| it.parse::<Ipv6Addr>().is_ok()),
    }
}

fn is_port(port: &[u8]) -> bool {
    let digits = std::str::from_utf8(port).unwrap_or("-");
    port.iter().all(u8::is_ascii_digit) && (port.is_empty() || digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Rules;
    use crate::http::head::Scan;

    #[test]
    fn a_host_and_perhaps_a_port() {
        for good in [
            "a",
            "a.b-c_d~e",
            "a:80",
            "a:",
            "a:0",
            "a:65535",
            "a:00080",
            "127.0.0.1:1",
            "999.1.1.1",
            "%41%2f",
            "a!$&'()*+,;=",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]",
            "[1:2:3:4:5:6:7:8]:",
            "[v1.a:b]",
            "[VF.!]",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":",
            ":80",
            "a b",
            "a:b",
            "a:1:2",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:99999999999",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a\\b",
            "a%",
            "a%4",
            "a%zz",
            "\u{e4}",
            "::1",
            "[::1",
            "::1]",
            "[::1]a",
            "[::1]:a",
            "[::1]]",
            "[]",
            "[a]",
            "[1]",
            "[::g]",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[vg.a]",
            "[v1.%41]",
            "a[b]",
            "\"a\"",
            "<a>",
            "{a}",
            "a|b",
            "a^b",
            "a`b",
            "a\tb",
            "a\0",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    /// The `Host` that is left.
    fn host(request: &str, trust: PeerTrust) -> Result<Option<String>, u16> {
        let input = format!("{}\r\n\r\n", request.replace('\n', "\r\n"));
        let (rules, mut scan, mut head) =
            (Rules::default(), Scan::default(), RequestHead::default());
        let status = |error: RequestError| error.status().as_u16();
        let end = scan.find_end(input.as_bytes(), &rules).map_err(status)?;
        let end = end.expect("a whole head");
        scan.parse(input.as_bytes(), end, &rules, &mut head)
            .map_err(status)?;
        settle(&mut head, trust).map_err(status)?;
        // The remaining head can be read again, with the same meaning.
        let (mut scan, mut again) = (Scan::default(), RequestHead::default());
        let end = scan.find_end(&head.bytes, &rules).map_err(status)?;
        assert_eq!(end, Some(head.bytes.len()));
        let bytes = head.bytes.clone();
        scan.parse(&bytes, bytes.len(), &rules, &mut again)
            .map_err(status)?;
        settle(&mut again, trust).map_err(status)?;
        assert_eq!(head.field("host"), again.field("host"));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        Ok(head.field("host").map(text))
    }

    #[test]
    fn a_request_means_one_server() {
        let anyone = PeerTrust::default();
        let some = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(host("GET / HTTP/1.1\nHost: a:80", anyone), some("a:80"));
        assert_eq!(host("GET / HTTP/1.0", anyone), Ok(None));
        assert_eq!(host("GET / HTTP/1.0\nHost:", anyone), some(""));
        assert_eq!(host("OPTIONS * HTTP/1.1\nHost:", anyone), some(""));
        for bad in [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\nHost:",
            "GET http://a/ HTTP/1.1\nHost:",
            "GET http://a/ HTTP/1.0\nHost:",
            "GET / HTTP/1.1\nHost: a\nHost: a",
            "GET / HTTP/1.0\nHost: a\nhost: b",
            "GET / HTTP/1.1\nHost: a b",
            "GET / HTTP/1.0\nHost: a b",
            "GET http://a/ HTTP/1.1\nHost: a b",
            "GET http://a/ HTTP/1.1",
        ] {
            assert_eq!(host(bad, anyone), Err(400), "{bad}");
        }
    }

    #[test]
    fn the_target_outranks_the_field() {
        let anyone = PeerTrust::default();
        let some = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(
            host("GET http://b:1/x HTTP/1.1\nHost: a", anyone),
            some("b:1")
        );
        assert_eq!(
            host("GET HTTP://b?x HTTP/1.1\nA: b\nHost: a\nC: d", anyone),
            some("b")
        );
        assert_eq!(host("GET http://b HTTP/1.0\nA: b", anyone), some("b"));
        let https = "GET https://b/ HTTP/1.1\nHost: a";
        assert_eq!(host(https, anyone), Err(400));
        for secure in [
            PeerTrust {
                secure: true,
                ..anyone
            },
            PeerTrust {
                trusted: true,
                ..anyone
            },
        ] {
            assert_eq!(host(https, secure), some("b"));
        }
    }
}
