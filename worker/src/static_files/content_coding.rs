//! Chooses among a file and its compressed variants by `Accept-Encoding` (RFC 9110 section 12.5.3).

use oxicorn_common::request::RequestHead;

/// How a variant is compressed; in the order of preference among codings that the client likes as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentCoding {
    Brotli,
    Zstd,
    Gzip,
}

const ALL: [ContentCoding; 3] = [
    ContentCoding::Brotli,
    ContentCoding::Zstd,
    ContentCoding::Gzip,
];
/// Weights are in thousandths.
const FULL: u16 = 1000;

impl ContentCoding {
    /// Its name in fields.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of the variant adds to that of the file.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// The codings that the client of this request accepts and prefers to none, the best first.
pub(super) fn accepted(head: &RequestHead) -> impl Iterator<Item = ContentCoding> {
    let weights = ALL.map(|coding| (coding, weight(head, |name| coding.is_named(name))));
    let has_any = head.fields().any(|(name, _)| is_the_field(name));
    let identity = match has_any {
        true => weight_of_identity(head),
        false => FULL,
    };
    let mut liked = weights;
    liked.sort_by_key(|&(_, weight)| std::cmp::Reverse(weight.unwrap_or(0)));
    liked.into_iter().filter_map(move |(coding, weight)| {
        let weight = weight.filter(|_| has_any)?;
        (weight > 0 && weight >= identity).then_some(coding)
    })
}

/// The file as it is goes behind everything that is named, unless it is named itself.
fn weight_of_identity(head: &RequestHead) -> u16 {
    let named = items(head).find(|(name, _)| name.eq_ignore_ascii_case(b"identity"));
    named.map_or(0, |(_, weight)| weight)
}

/// The weight of a coding: its own, or that of `*`.
fn weight(head: &RequestHead, is_it: impl Fn(&[u8]) -> bool) -> Option<u16> {
    let of = |wanted: &dyn Fn(&[u8]) -> bool| {
        items(head)
            .find(|(name, _)| wanted(name))
            .map(|(_, weight)| weight)
    };
    of(&is_it).or_else(|| of(&|name| name == b"*"))
}

/// The codings in the field, with their weights.
fn items(head: &RequestHead) -> impl Iterator<Item = (&[u8], u16)> {
    let values = head.fields().filter(|(name, _)| is_the_field(name));
    values.flat_map(|(_, value)| {
        value.split(|&byte| byte == b',').filter_map(|item| {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let weight = parts.find_map(|it| it.strip_prefix(b"q=").or(it.strip_prefix(b"Q=")));
            Some((name, weight.map_or(FULL, thousandths)))
        })
    })
}

fn is_the_field(name: &str) -> bool {
    name.eq_ignore_ascii_case("accept-encoding")
}

/// A weight (RFC 9110 section 12.4.2); 0 if it is none.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (whole, fraction),
        _ => return 0,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let weight = u16::from(whole - b'0') * 1000 + digit(0) * 100 + digit(1) * 10 + digit(2);
    weight.min(FULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::static_files::testing::head;

    fn names(field: &str) -> String {
        let head = head(&[("Accept-Encoding", field)]);
        accepted(&head)
            .map(ContentCoding::name)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_client_decides_and_then_the_size() {
        for (field, wanted) in [
            ("gzip, deflate, br, zstd", "br zstd gzip"),
            ("gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("GZIP;q=1.0, br;q=0.5", "gzip br"),
            ("gzip;q=0.8, *;q=0.1", "gzip br zstd"),
            ("*", "br zstd gzip"),
            ("*;q=0", ""),
            ("br;q=0, *", "zstd gzip"),
            ("gzip; q=0.001", "gzip"),
            ("gzip;q=0.000", ""),
            ("gzip;q=0.5, identity", ""),
            ("gzip;q=0.5, identity;q=0.5", "gzip"),
            ("identity", ""),
            ("", ""),
            ("deflate", ""),
            ("gzip;q=2", ""),
            ("gzip;q=0.0001", ""),
            ("gzip;q=x", ""),
            (",, gzip ,", "gzip"),
        ] {
            assert_eq!(names(field), wanted, "{field}");
        }
        assert_eq!(accepted(&head(&[])).count(), 0, "no field");
        let two = head(&[("accept-encoding", "gzip"), ("Accept-Encoding", "br;q=0.9")]);
        assert!(accepted(&two).eq([ContentCoding::Gzip, ContentCoding::Brotli]));
    }
}
