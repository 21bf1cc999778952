//! How long a request was at a proxy before it came here, by the time that the proxy has written into it.
//!
//! There is no standard. `X-Request-Start` and `X-Queue-Start` are in use, with or without `t=`, in seconds (nginx), in
//! milliseconds (Heroku) or in microseconds (Apache, HAProxy), with or without a fraction. The size tells the unit: the
//! ranges do not meet before the year 5000.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oxicorn_common::request::{Request, RequestHead};

const FIELDS: [&str; 2] = ["X-Request-Start", "X-Queue-Start"];

/// What is longer ago is no time of a request, or the clocks differ.
const LONGEST: Duration = Duration::from_secs(3600);

/// For a request that became whole at `whole_at`. `None` without such a field, if the peer may not say such a thing, and
/// for what cannot be true: the future, and an hour ago.
pub(crate) fn proxy_queue(request: &Request, whole_at: Instant) -> Option<Duration> {
    if !request.trusted {
        return None;
    }
    let begun = begun_at(&request.head)?;
    // The clock is read for these requests only.
    let now = SystemTime::now().checked_sub(whole_at.elapsed())?;
    let waited = now.duration_since(UNIX_EPOCH).ok()?.checked_sub(begun)?;
    (waited <= LONGEST).then_some(waited)
}

/// The Unix time at which the proxy got the request.
fn begun_at(head: &RequestHead) -> Option<Duration> {
    FIELDS.iter().find_map(|name| parse(head.field(name)?))
}

fn parse(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let text = text.strip_prefix("t=").unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let nanos_per_unit = match whole {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => return None,
    };
    let nanos = u128::from(whole) * nanos_per_unit + fraction_of(fraction, nanos_per_unit);
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// `digits` behind the point of a unit of `nanos`.
fn fraction_of(digits: &str, nanos: u128) -> u128 {
    let (mut sum, mut place) = (0, nanos);
    for digit in digits.bytes().take(9) {
        place /= 10;
        sum += u128::from(digit - b'0') * place;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxicorn_common::request::Span;

    #[test]
    fn every_form_is_the_same_time() {
        let forms = [
            "1700000000.123456",
            "t=1700000000.123456",
            " t=1700000000123.456 ",
            "1700000000123.456789",
            "t=1700000000123456",
            "1700000000123456.000",
        ];
        for form in forms {
            let parsed = parse(form.as_bytes()).expect(form);
            assert_eq!(parsed.as_micros(), 1_700_000_000_123_456, "{form}");
        }
        assert_eq!(
            parse(b"1700000000"),
            Some(Duration::from_secs(1_700_000_000))
        );
        assert_eq!(
            parse(b"t=1700000000.5").map(|it| it.subsec_millis()),
            Some(500)
        );
    }

    #[test]
    fn nonsense_is_no_time() {
        let nonsense: [&[u8]; 16] = [
            b"",
            b"t=",
            b"T=1700000000",
            b"-1700000000",
            b"+1700000000",
            b"1e9",
            b".5",
            b"5.",
            b"1.2.3",
            b"1,700,000,000",
            b"1700000000, 1700000001",
            b"1700000000123456789",
            b"99999999999999999999999999",
            b"\xff",
            b"NaN",
            "\u{661}".as_bytes(),
        ];
        for value in nonsense {
            assert_eq!(parse(value), None, "{}", value.escape_ascii());
        }
    }

    fn request(fields: &[(&str, String)], trusted: bool) -> Request {
        let mut request = Request {
            trusted,
            ..Request::default()
        };
        for (name, value) in fields {
            let mut add = |text: &str| {
                let start = request.head.bytes.len() as u32;
                request.head.bytes.extend_from_slice(text.as_bytes());
                let end = request.head.bytes.len() as u32;
                Span { start, end }
            };
            let field = (add(name), add(value));
            request.head.fields.push(field);
        }
        request
    }

    #[test]
    fn only_a_trusted_peer_is_believed_and_only_the_recent_past() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let ago = |seconds: i64| (now.as_secs() as i64 - seconds).to_string();
        let of = |fields: &[(&str, String)]| proxy_queue(&request(fields, true), Instant::now());
        let waited = of(&[("x-request-start", ago(10))]).expect("a time");
        assert!((10..60).contains(&waited.as_secs()), "{waited:?}");
        let waited = of(&[("X-Queue-Start", ago(20))]).expect("a time");
        assert!((20..60).contains(&waited.as_secs()), "{waited:?}");
        let fields = [("X-Request-Start", "?".into()), ("X-Queue-Start", ago(5))];
        assert!(of(&fields).is_some());
        assert_eq!(of(&[("X-Request-Start", ago(-100))]), None);
        assert_eq!(of(&[("X-Request-Start", ago(4000))]), None);
        assert_eq!(of(&[("X-Request-Start", "0".into())]), None);
        let untrusted = request(&[("X-Request-Start", ago(10))], false);
        assert_eq!(proxy_queue(&untrusted, Instant::now()), None);
    }

    #[test]
    fn the_time_in_our_own_queue_is_not_that_of_the_proxy() {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        let request = request(
            &[("X-Request-Start", (now.as_secs() - 100).to_string())],
            true,
        );
        let whole_at = Instant::now()
            .checked_sub(Duration::from_secs(60))
            .expect("a moment");
        let waited = proxy_queue(&request, whole_at).expect("a time");
        assert!((40..60).contains(&waited.as_secs()), "{waited:?}");
    }
}
