//! [`TraceContext`]: the trace that a request belongs to, by its field `traceparent` (W3C Trace Context, level 1 and 2).

use super::RequestHead;

/// `00-TRACE-PARENT-FLAGS`, in octets; later versions may add more after another hyphen.
const LENGTH: usize = 55;

/// The trace of a request, and the span of the caller in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 32],
    span_id: [u8; 16],
    flags: u8,
}

impl TraceContext {
    /// The context of a request; `None` if its field breaks the rules, or if it has several.
    pub fn of(head: &RequestHead) -> Option<Self> {
        let mut fields = head
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case("traceparent"));
        let (_, value) = fields.next()?;
        match fields.next() {
            None => Self::parse(value),
            Some(_) => None,
        }
    }

    /// Reads the value of the field (section 3.2.2 of the recommendation).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (start, rest) = value.split_at_checked(LENGTH)?;
        let [a, b, b'-', ..] = *start else {
            return None;
        };
        let version = octet(a, b)?;
        let has_more = rest.first() == Some(&b'-');
        let is_known_length = match version {
            0xff => false,
            0 => rest.is_empty(),
            _ => rest.is_empty() || has_more,
        };
        if !is_known_length || start[35] != b'-' || start[52] != b'-' {
            return None;
        }
        let trace_id: [u8; 32] = *start[3..].first_chunk()?;
        let span_id: [u8; 16] = *start[36..].first_chunk()?;
        let is_id =
            |id: &[u8]| id.iter().all(|&it| digit(it).is_some()) && id.iter().any(|&it| it != b'0');
        (is_id(&trace_id) && is_id(&span_id)).then_some(())?;
        Some(Self {
            trace_id,
            span_id,
            flags: octet(start[53], start[54])?,
        })
    }

    /// 32 hexadecimal digits in lower case.
    pub fn trace_id(&self) -> &str {
        std::str::from_utf8(&self.trace_id).unwrap_or_default()
    }

    /// The span of the caller, `parent-id`: 16 hexadecimal digits in lower case.
    pub fn span_id(&self) -> &str {
        std::str::from_utf8(&self.span_id).unwrap_or_default()
    }

    /// Whether the caller may have recorded the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Only lower case is allowed.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn octet(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_has_its_parts() {
        let context = TraceContext::parse(VALID.as_bytes()).expect("valid");
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
        assert!(context.is_sampled());
        let unsampled = VALID.replace("-01", "-02");
        assert!(!TraceContext::parse(unsampled.as_bytes()).is_some_and(|it| it.is_sampled()));
    }

    #[test]
    fn later_versions_may_have_more() {
        for valid in [
            VALID.replacen("00", "cc", 1),
            format!("{}-what-the-future-brings", VALID.replacen("00", "cc", 1)),
        ] {
            assert!(TraceContext::parse(valid.as_bytes()).is_some(), "{valid}");
        }
        for bad in [
            format!("{VALID}-more"),
            format!("{}.more", VALID.replacen("00", "cc", 1)),
            VALID.replacen("00", "ff", 1),
        ] {
            assert!(TraceContext::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_context() {
        for bad in [
            "",
            "00",
            &VALID.to_uppercase(),
            &VALID.replace('-', "_"),
            &VALID[..54],
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace("4b", "g0"),
            &VALID.replace("-01", "-0g"),
            &VALID.replacen("00", "0x", 1),
            &VALID.replace("4736-", "47360"),
            &format!(" {VALID}"),
            &VALID.replace("4b", "\u{fc}"),
        ] {
            assert_eq!(TraceContext::parse(bad.as_bytes()), None, "{bad}");
        }
        // No octet in any place ends in a panic, or is taken for another one.
        for at in 0..VALID.len() {
            for octet in 0..=255 {
                let mut value = VALID.as_bytes().to_vec();
                value[at] = octet;
                let is_digit = matches!(octet, b'0'..=b'9' | b'a'..=b'f');
                let expected = match at {
                    2 | 35 | 52 => octet == b'-',
                    // The length fits version 0 and all later ones.
                    _ => is_digit,
                };
                let taken = TraceContext::parse(&value).is_some();
                assert_eq!(taken, expected, "{}", value.escape_ascii());
            }
        }
    }
}
