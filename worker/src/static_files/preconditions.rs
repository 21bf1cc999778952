//! Conditional requests: whether a file is sent, in the order of RFC 9110 section 13.2.2.

use std::time::UNIX_EPOCH;

use oxicorn_common::request::RequestHead;

use super::validators::Validators;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    /// The client has it: 304.
    NotModified,
    /// It is not what the client means: 412.
    Failed,
}

/// What the fields of a request say about the file that is there. A field with an invalid date does not count.
pub(super) fn judge(head: &RequestHead, file: &Validators) -> Verdict {
    if has(head, "if-match") {
        let is_it = |tag: &[u8]| file.is_strong() && tag == file.tag.as_bytes();
        if !names(head, "if-match", is_it) {
            return Verdict::Failed;
        }
    } else if let (Some(date), Some(modified)) = (date(head, "if-unmodified-since"), file.modified)
        && modified > date
    {
        return Verdict::Failed;
    }
    if has(head, "if-none-match") {
        let own = opaque(file.tag.as_bytes());
        if names(head, "if-none-match", |tag| opaque(tag) == own) {
            return Verdict::NotModified;
        }
    } else if let (Some(date), Some(modified)) = (date(head, "if-modified-since"), file.modified)
        && modified <= date
        // Another change may come within the same second.
        && file.is_date_settled
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether the ranges of the request are for the file that is there (RFC 9110 section 13.1.5).
pub(super) fn allow_range(head: &RequestHead, file: &Validators) -> bool {
    let Some(value) = head.field("if-range") else {
        return true;
    };
    match value.first() {
        Some(b'"') => file.is_strong() && value == file.tag.as_bytes(),
        // A weak tag does not tell that the octets are the same.
        Some(b'W') if value.get(1) == Some(&b'/') => false,
        _ => {
            let date = date(head, "if-range");
            date.is_some() && date == file.modified && file.is_date_settled
        }
    }
}

fn has(head: &RequestHead, field: &str) -> bool {
    head.field(field).is_some()
}

/// Whether a list of tags has one that `is_it`, or is `*`: that is any file, and there is one.
fn names(head: &RequestHead, field: &str, is_it: impl Fn(&[u8]) -> bool) -> bool {
    let mut values = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(field));
    values.any(|(_, value)| value == b"*" || tags(value).any(&is_it))
}

/// The tags of a list, up to what is none.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let start = if rest.starts_with(b"W/") { 2 } else { 0 };
        let text = rest[start..].strip_prefix(b"\"")?;
        let end = start + 2 + memchr::memchr(b'"', text)?;
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag)
    })
}

/// A tag for the weak comparison.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// A date in any of the forms of RFC 9110 section 5.6.7, in seconds since 1970.
fn date(head: &RequestHead, field: &str) -> Option<u64> {
    let text = std::str::from_utf8(head.field(field)?).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::static_files::testing::head;

    const TODAY: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const YESTERDAY: &str = "Mon, 13 Nov 2023 22:13:20 GMT";
    const TOMORROW: &str = "Wed, 15 Nov 2023 22:13:20 GMT";

    fn file() -> Validators {
        Validators {
            tag: "\"a\"".to_owned(),
            modified: Some(1_700_000_000),
            is_date_settled: true,
        }
    }

    fn weak() -> Validators {
        Validators {
            tag: "W/\"a\"".to_owned(),
            is_date_settled: false,
            ..file()
        }
    }

    #[test]
    fn each_field_by_itself() {
        for (field, value, wanted) in [
            ("If-Match", "\"a\"", Verdict::Send),
            ("If-Match", "\"b\", \"a\"", Verdict::Send),
            ("If-Match", "*", Verdict::Send),
            ("If-Match", "W/\"a\"", Verdict::Failed),
            ("If-Match", "\"b\"", Verdict::Failed),
            ("If-Match", "", Verdict::Failed),
            ("If-None-Match", "\"a\"", Verdict::NotModified),
            ("If-None-Match", "W/\"a\"", Verdict::NotModified),
            ("If-None-Match", "\"x,y\", \"a\"", Verdict::NotModified),
            ("If-None-Match", "*", Verdict::NotModified),
            ("If-None-Match", "\"b\"", Verdict::Send),
            ("If-None-Match", "a", Verdict::Send),
            ("If-None-Match", "\"a", Verdict::Send),
            ("If-Modified-Since", TODAY, Verdict::NotModified),
            ("If-Modified-Since", TOMORROW, Verdict::NotModified),
            ("If-Modified-Since", YESTERDAY, Verdict::Send),
            ("If-Modified-Since", "yesterday", Verdict::Send),
            ("If-Unmodified-Since", TODAY, Verdict::Send),
            ("If-Unmodified-Since", YESTERDAY, Verdict::Failed),
            ("If-Unmodified-Since", "yesterday", Verdict::Send),
        ] {
            assert_eq!(
                judge(&head(&[(field, value)]), &file()),
                wanted,
                "{field}: {value}"
            );
        }
    }

    #[test]
    fn tags_count_before_dates() {
        for (first, second, wanted) in [
            (
                ("If-None-Match", "\"b\""),
                ("If-Modified-Since", TODAY),
                Verdict::Send,
            ),
            (
                ("If-Match", "\"a\""),
                ("If-Unmodified-Since", YESTERDAY),
                Verdict::Send,
            ),
            (
                ("If-Match", "\"b\""),
                ("If-None-Match", "\"a\""),
                Verdict::Failed,
            ),
            (
                ("If-Match", "\"a\""),
                ("If-None-Match", "\"a\""),
                Verdict::NotModified,
            ),
            (
                ("If-Unmodified-Since", YESTERDAY),
                ("If-None-Match", "\"a\""),
                Verdict::Failed,
            ),
            (
                ("If-None-Match", "\"b\""),
                ("If-None-Match", "\"a\""),
                Verdict::NotModified,
            ),
        ] {
            assert_eq!(
                judge(&head(&[first, second]), &file()),
                wanted,
                "{first:?} {second:?}"
            );
        }
    }

    #[test]
    fn what_has_changed_just_now_proves_little() {
        let judge = |field, value| judge(&head(&[(field, value)]), &weak());
        assert_eq!(judge("If-Match", "W/\"a\""), Verdict::Failed);
        assert_eq!(judge("If-Match", "*"), Verdict::Send);
        assert_eq!(judge("If-Modified-Since", TODAY), Verdict::Send);
        let without = Validators {
            modified: None,
            ..file()
        };
        let since = head(&[("If-Modified-Since", TOMORROW)]);
        assert_eq!(super::judge(&since, &without), Verdict::Send);
    }

    #[test]
    fn a_range_needs_the_same_octets() {
        for (value, wanted) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (TODAY, true),
            (YESTERDAY, false),
            (TOMORROW, false),
            ("x", false),
        ] {
            let asked = head(&[("If-Range", value)]);
            assert_eq!(allow_range(&asked, &file()), wanted, "{value}");
            assert!(!allow_range(&asked, &weak()), "{value}");
        }
        assert!(allow_range(&head(&[]), &weak()));
    }
}
