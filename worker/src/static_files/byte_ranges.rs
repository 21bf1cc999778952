//! The ranges that a request asks for (RFC 9110 section 14). A request with more than 16 of them gets the whole file, and
//! ranges that overlap or nearly touch become one: so no request can make a response longer than its file, but for the
//! heads of 16 parts.

use oxicorn_common::request::RequestHead;

const MOST_RANGES: usize = 16;
/// A gap that is shorter costs less than the head of one more part.
const GAP: u64 = 80;

/// Octets `start..end` of a file; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) start: u64,
    pub(super) end: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum WantedRanges {
    /// No range, or none that can be understood: the whole file.
    Whole,
    /// One or more; several do not touch each other.
    Some(Vec<ByteRange>),
    /// All of them begin behind the end: 416.
    Unsatisfiable,
}

impl ByteRange {
    pub(super) fn length(self) -> u64 {
        self.end - self.start
    }
}

/// What a request with this head wants of a file of `size` octets.
pub(super) fn wanted(head: &RequestHead, size: u64) -> WantedRanges {
    let mut values = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case("range"));
    let Some((_, value)) = values.next() else {
        return WantedRanges::Whole;
    };
    match (values.next(), parse(value, size)) {
        (None, Some(ranges)) if ranges.is_empty() => WantedRanges::Unsatisfiable,
        // An empty file has an end and no range.
        (None, Some(ranges)) if size > 0 => WantedRanges::Some(coalesce(ranges)),
        _ => WantedRanges::Whole,
    }
}

/// The ranges that can be satisfied; `None` if the value is not understood.
fn parse(value: &[u8], size: u64) -> Option<Vec<ByteRange>> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let (mut ranges, mut count) = (Vec::new(), 0);
    for item in set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        // A list may have empty items (RFC 9110 section 5.6.1).
        if item.is_empty() {
            continue;
        }
        count += 1;
        if count > MOST_RANGES {
            return None;
        }
        let dash = memchr::memchr(b'-', item)?;
        let (first, last) = (number(&item[..dash])?, number(&item[dash + 1..])?);
        let (start, end) = match (first, last) {
            (Some(first), Some(last)) if first > last => return None,
            (Some(first), last) => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                (first, end)
            }
            (None, Some(0)) => continue,
            (None, Some(suffix)) => (size.saturating_sub(suffix), size),
            (None, None) => return None,
        };
        if start < size || first.is_none() {
            ranges.push(ByteRange { start, end });
        }
    }
    (count > 0).then_some(ranges)
}

/// `Some(None)` is no number; `None` is something else. What is too long for 64 bits is behind every end.
fn number(digits: &[u8]) -> Option<Option<u64>> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    Some((!text.is_empty()).then(|| text.parse().unwrap_or(u64::MAX)))
}

/// In the order of the request, unless some become one.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = ranges.clone();
    sorted.sort_by_key(|range| range.start);
    let mut joined: Vec<ByteRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() {
        ranges
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::static_files::testing::head;

    fn ranges(value: &str, size: u64) -> String {
        match wanted(&head(&[("Range", value)]), size) {
            WantedRanges::Whole => "whole".to_owned(),
            WantedRanges::Unsatisfiable => "416".to_owned(),
            WantedRanges::Some(ranges) => {
                let shown = ranges
                    .iter()
                    .map(|it| format!("{}-{}", it.start, it.end - 1));
                shown.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn each_form_of_a_range() {
        for (value, wanted) in [
            ("bytes=0-0", "0-0"),
            ("bytes=0-", "0-999"),
            ("bytes=-1", "999-999"),
            ("bytes=-5000", "0-999"),
            ("bytes=990-5000", "990-999"),
            ("Bytes = 0-1", "whole"),
            ("BYTES=1-2", "1-2"),
            ("bytes=1000-", "416"),
            ("bytes=-0", "416"),
            ("bytes=1000-2000, -0", "416"),
            ("bytes=1000-, 5-6", "5-6"),
            ("bytes=99999999999999999999-", "416"),
            ("bytes=5-99999999999999999999", "5-999"),
            ("bytes=2-1", "whole"),
            ("bytes=2-1,5-6", "whole"),
            ("bytes=", "whole"),
            ("bytes=-", "whole"),
            ("bytes=a-b", "whole"),
            ("bytes=+1-2", "whole"),
            ("bytes=1-2-3", "whole"),
            ("lines=1-2", "whole"),
            ("bytes", "whole"),
            (" bytes=1-2", "whole"),
            ("bytes=,1-2,,", "1-2"),
        ] {
            assert_eq!(ranges(value, 1000), wanted, "{value}");
        }
    }

    #[test]
    fn an_empty_file_has_no_range() {
        assert_eq!(ranges("bytes=0-", 0), "416");
        assert_eq!(ranges("bytes=-1", 0), "whole");
    }

    #[test]
    fn ranges_that_touch_become_one() {
        for (value, wanted) in [
            ("bytes=0-9, 500-509", "0-9 500-509"),
            ("bytes=500-509,0-9", "500-509 0-9"),
            ("bytes=0-9,5-20", "0-20"),
            ("bytes=0-9,10-20", "0-20"),
            ("bytes=0-9,90-99", "0-99"),
            ("bytes=0-9,91-99", "0-9 91-99"),
            ("bytes=500-600,0-9,550-700", "0-9 500-700"),
            ("bytes=0-,0-,0-,-1000", "0-999"),
        ] {
            assert_eq!(ranges(value, 1000), wanted, "{value}");
        }
    }

    #[test]
    fn many_ranges_are_ignored() {
        let many = |count: u64| {
            let items = (0..count).map(|at| format!("{}-{}", at * 100, at * 100 + 9));
            format!("bytes={}", items.collect::<Vec<_>>().join(","))
        };
        assert_eq!(ranges(&many(16), 5000).split(' ').count(), 16);
        assert_eq!(ranges(&many(17), 5000), "whole");
        let twice = head(&[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]);
        assert_eq!(super::wanted(&twice, 10), WantedRanges::Whole);
    }
}
