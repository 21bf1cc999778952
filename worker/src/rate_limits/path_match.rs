//! [`PathMatch`]: whether a path lies below a prefix, in whatever way the path is spelled.
//!
//! Servers and applications read a path in different ways: some decode it before they look for `..`, some drop empty
//! segments, some ignore case. A rule must not be evaded by a spelling that the application understands. So a path fits if any
//! of its readings does: as it is sent, or decoded (`%61pi`, `%2Fapi`) without empty segments (`//api`), each with `.` and `..`
//! followed or taken as names. Where the application is mounted, each also counts from the mount point on, as the application
//! sees it. Capitals never matter.

use std::cell::OnceCell;

pub(crate) struct PathMatch<'a> {
    sent: &'a [u8],
    /// Where the application may be mounted, without final slashes.
    mounts: Vec<&'a [u8]>,
    /// The readings that differ from what was sent. Made when a rule first asks.
    readings: OnceCell<Option<[Vec<u8>; 2]>>,
}

impl<'a> PathMatch<'a> {
    pub(crate) fn new(path: &'a [u8], mounts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mounts = mounts.map(|it| it.strip_suffix(b"/").unwrap_or(it));
        Self {
            sent: path,
            mounts: mounts.filter(|it| !it.is_empty()).collect(),
            readings: OnceCell::new(),
        }
    }

    /// `prefix` has no final slash.
    pub(crate) fn is_below(&self, prefix: &[u8]) -> bool {
        let others = self.readings.get_or_init(|| readings(self.sent));
        let others = others.iter().flatten();
        self.fits(self.sent, prefix) || others.into_iter().any(|it| self.fits(it, prefix))
    }

    fn fits(&self, path: &[u8], prefix: &[u8]) -> bool {
        let mut mounted = self.mounts.iter().filter(|it| is_below(path, it));
        is_below(path, prefix) || mounted.any(|it| is_below(&path[it.len()..], prefix))
    }
}

/// Whole segments: `/api` has `/api/x` below it, and not `/apis`.
fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let Some((start, rest)) = path.split_at_checked(prefix.len()) else {
        return false;
    };
    matches!(rest, [] | [b'/', ..]) && start.eq_ignore_ascii_case(prefix)
}

fn readings(path: &[u8]) -> Option<[Vec<u8>; 2]> {
    let is_odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    if !path.contains(&b'%') && !path.windows(2).any(is_odd) {
        return None;
    }
    let decoded = decode(path);
    let segments = || decoded.split(|&it| it == b'/').filter(|it| !it.is_empty());
    let mut followed: Vec<&[u8]> = Vec::new();
    for segment in segments() {
        match segment {
            b"." => {}
            b".." => drop(followed.pop()),
            name => followed.push(name),
        }
    }
    Some([join(segments()), join(followed.into_iter())])
}

fn join<'s>(segments: impl Iterator<Item = &'s [u8]>) -> Vec<u8> {
    let mut path = Vec::new();
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

/// Decodes once, as applications do.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.split_at_checked(2);
        let octet = pair.and_then(|(digits, after)| Some((hex(digits)?, after)));
        match octet.filter(|_| first == b'%') {
            Some((octet, after)) => {
                decoded.push(octet);
                rest = after;
            }
            None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    decoded
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_root(path: &str) -> PathMatch<'_> {
        PathMatch::new(path.as_bytes(), std::iter::empty())
    }

    #[test]
    fn a_path_also_counts_from_the_mount_point_on() {
        let mounts = || [&b"/shop/"[..], b"", b"/x"].into_iter();
        for path in [
            "/login",
            "/shop/login",
            "/x/login",
            "/SHOP//%6cogin/y",
            "/shop/../shop/login",
        ] {
            assert!(
                PathMatch::new(path.as_bytes(), mounts()).is_below(b"/login"),
                "{path}"
            );
        }
        for path in ["/shop", "/shops/login", "/x/shop/login", "/y/login"] {
            assert!(
                !PathMatch::new(path.as_bytes(), mounts()).is_below(b"/login"),
                "{path}"
            );
        }
        assert!(PathMatch::new(b"/shop", mounts()).is_below(b"/shop"));
    }

    #[test]
    fn no_spelling_of_a_path_evades_its_rule() {
        for path in [
            "/api",
            "/api/",
            "/api/x",
            "//api",
            "/api//x",
            "///api///",
            "/%61pi",
            "/%61%70%69/x",
            "/API/x",
            "/%41pi",
            "%2fapi",
            "/x/../api",
            "/x/%2e%2e/api",
            "/x%2F..%2Fapi",
            "/./api",
            "/%2e/api",
            "/../../api",
            "/api/../x",
            "/api/..%2fx",
        ] {
            assert!(at_root(path).is_below(b"/api"), "{path}");
        }
    }

    #[test]
    fn other_paths_do_not_fit() {
        for path in [
            "/", "/apis", "/ap", "/x/api", "/api%20", "/%2561pi", "/api;x", "*", "", "/x/../y",
            "/%6",
        ] {
            assert!(!at_root(path).is_below(b"/api"), "{path}");
        }
        for path in ["/", "/x", "//"] {
            assert!(at_root(path).is_below(b""), "{path}");
        }
        assert!(!at_root("*").is_below(b""));
        assert!(at_root("/a/%2F/b%zz%").is_below(b"/a/b%zz%"));
    }
}
