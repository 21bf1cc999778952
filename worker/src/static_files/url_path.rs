//! [`UrlPath`]: the path of a request, decoded once, and what of it may name a file. Nothing here looks at the disk.

use std::borrow::Cow;

/// Stands for what no file name can have: a NUL, and a slash that the client has encoded. Servers disagree about the
/// latter, so it might pass a filter in front of this one.
const FORBIDDEN: u8 = 0;
/// The one name with a dot in front that is served: RFC 8615 reserves it, at the root of the URLs.
const WELL_KNOWN: &[u8] = b".well-known";

/// A path without its percent-encoding.
#[derive(Debug)]
pub(super) struct UrlPath<'a>(Cow<'a, [u8]>);

/// The part of a path below a mapping, as a relative file name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RelativeName {
    /// Segments with a slash between them; none is empty or begins with a dot.
    pub(super) name: Vec<u8>,
    /// The path ends with a slash, so that it can only mean a directory.
    pub(super) ends_with_slash: bool,
}

impl<'a> UrlPath<'a> {
    /// Decodes `raw` once: what looks encoded afterwards is part of a name.
    pub(super) fn decode(raw: &'a [u8]) -> Self {
        let Some(first) = memchr::memchr(b'%', raw) else {
            return Self(Cow::Borrowed(raw));
        };
        let (plain, mut rest) = raw.split_at(first);
        let mut decoded = Vec::with_capacity(raw.len());
        decoded.extend_from_slice(plain);
        while let [byte, after @ ..] = rest {
            let (byte, after) = match (byte, after) {
                (b'%', [high, low, after @ ..]) => match octet(*high, *low) {
                    Some(b'/') => (FORBIDDEN, after),
                    Some(value) => (value, after),
                    None => (FORBIDDEN, after),
                },
                (b'%', _) => (FORBIDDEN, after),
                _ => (*byte, after),
            };
            decoded.push(byte);
            rest = after;
        }
        Self(Cow::Owned(decoded))
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// What follows `prefix`, which ends where a segment ends; empty or with a slash in front.
    pub(super) fn below(&self, prefix: &[u8]) -> Option<&[u8]> {
        below(&self.0, prefix)
    }
}

/// See [`UrlPath::below`].
pub(super) fn below<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(prefix)?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

impl RelativeName {
    /// The name of `rest`, what is left of a path below a mapping; `None` if it must not name a file. `is_root` if the
    /// mapping is that of all paths.
    pub(super) fn of(rest: &[u8], is_root: bool) -> Option<Self> {
        if memchr::memchr(FORBIDDEN, rest).is_some() {
            return None;
        }
        let mut name = Vec::with_capacity(rest.len() + 16);
        // Empty segments mean nothing to the kernel either.
        for segment in rest.split(|&byte| byte == b'/').filter(|it| !it.is_empty()) {
            let is_well_known = is_root && name.is_empty() && segment == WELL_KNOWN;
            if segment[0] == b'.' && !is_well_known {
                return None;
            }
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(segment);
        }
        let ends_with_slash = rest.last() == Some(&b'/');
        Some(Self {
            name,
            ends_with_slash,
        })
    }

    /// With `segment` behind it.
    pub(super) fn with(&self, segment: &str) -> Vec<u8> {
        match self.name.is_empty() {
            true => segment.as_bytes().to_vec(),
            false => [&self.name, &b"/"[..], segment.as_bytes()].concat(),
        }
    }
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Option<String> {
        let path = UrlPath::decode(path.as_bytes());
        let rest = path.below(b"/static").expect("below /static");
        let name = RelativeName::of(rest, false)?;
        let slash = if name.ends_with_slash { "/" } else { "" };
        Some(String::from_utf8_lossy(&name.name).into_owned() + slash)
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (path, wanted) in [
            ("/static", Some("")),
            ("/static/", Some("/")),
            ("/static/a.css", Some("a.css")),
            ("/static//a//b/", Some("a/b/")),
            ("/%73tatic/a%20b", Some("a b")),
            ("/static/%2541", Some("%41")),
            ("/static/a\\b", Some("a\\b")),
            ("/static/%C3%A9", Some("\u{e9}")),
            ("/static/..", None),
            ("/static/./a", None),
            ("/static/a/../b", None),
            ("/static/%2e%2e/a", None),
            ("/static/.git/config", None),
            ("/static/a/.env", None),
            ("/static/.well-known/a", None),
            ("/static/a%2fb", None),
            ("/static/a%2Fb", None),
            ("/static/a%00", None),
            ("/static/a%0", None),
            ("/static/a%zz", None),
        ] {
            assert_eq!(name(path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let below = |path: &str, prefix: &str| {
            let path = UrlPath::decode(path.as_bytes());
            path.below(prefix.as_bytes()).map(<[u8]>::to_vec)
        };
        assert_eq!(below("/static", "/static"), Some(Vec::new()));
        assert_eq!(below("/static/a", "/static"), Some(b"/a".to_vec()));
        assert_eq!(below("/staticx", "/static"), None);
        assert_eq!(below("/static%2fa", "/static"), None);
        assert_eq!(below("/a", ""), Some(b"/a".to_vec()));
        assert_eq!(below("*", ""), None);
    }

    #[test]
    fn well_known_names_are_at_the_root() {
        let name = |rest: &str| RelativeName::of(rest.as_bytes(), true).map(|it| it.name);
        assert_eq!(
            name("/.well-known/security.txt"),
            Some(b".well-known/security.txt".to_vec())
        );
        assert_eq!(name("/.well-known/.htpasswd"), None);
        assert_eq!(name("/a/.well-known/b"), None);
        assert_eq!(name("/.well-knownx"), None);
    }
}
