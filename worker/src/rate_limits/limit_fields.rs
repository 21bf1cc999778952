//! [`LimitFields`]: the response fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), as
//! complete lines.
//!
//! The effective window `t` is the time in which as many requests become free as are available, so that a client that
//! spreads them over it keeps the rate (section 8.5). With none available it is the time until one is, which is also
//! `Retry-After` (section 6).
//!
//! Each response may have them, so they are one copy of what is constant, and two numbers.

use std::mem;
use std::time::Duration;

use oxicorn_common::rate_limits::RateLimitRule;

use crate::http::encode::put_number;

const POLICY: &str = "RateLimit-Policy: ";
const LIMIT: &str = "RateLimit: ";
const END: &[u8] = b"\r\n";

/// What the lines say of one rule, but for the numbers of the moment.
#[derive(Debug)]
pub(crate) struct LimitText {
    /// Both lines, if they are about this rule alone, up to the first number.
    lines: Box<[u8]>,
    /// Where in `lines` the policy ends, and where the item of `RateLimit` begins.
    policy_end: usize,
    item_start: usize,
    /// Nanoseconds in which a request becomes free.
    interval: u64,
}

/// The lines of one response.
#[derive(Debug, Default)]
pub(crate) struct LimitFields {
    lines: Vec<u8>,
    /// Where the value of the first line ends.
    policies_end: usize,
    /// They are about the current request, whether there are any or not.
    is_settled: bool,
}

impl LimitText {
    pub(crate) fn new(rule: &RateLimitRule) -> Self {
        let RateLimitRule { name, burst, .. } = rule;
        let window = rule.window_seconds();
        let policy = format!("{POLICY}\"{name}\";q={burst};w={window}");
        let lines = format!("{policy}\r\n{LIMIT}\"{name}\";r=");
        Self {
            policy_end: policy.len(),
            item_start: policy.len() + END.len() + LIMIT.len(),
            lines: lines.into_bytes().into(),
            interval: u64::try_from(rule.interval().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    fn policy(&self) -> &[u8] {
        &self.lines[POLICY.len()..self.policy_end]
    }

    fn item(&self) -> &[u8] {
        &self.lines[self.item_start..]
    }
}

impl LimitFields {
    /// Begins the lines of a request.
    pub(crate) fn begin(&mut self) {
        self.lines.clear();
        self.is_settled = true;
    }

    /// Nobody has looked yet what they are.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.is_settled = false;
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Moves the lines of a request to where its response is made.
    pub(crate) fn move_to(&mut self, place: &mut Self) {
        place.clear();
        mem::swap(self, place);
    }

    /// Adds a rule, of which `left` requests may be sent at once, or one after `wait`.
    pub(crate) fn add(&mut self, text: &LimitText, left: u64, wait: Duration) {
        let lines = &mut self.lines;
        if lines.is_empty() {
            lines.extend_from_slice(&text.lines);
            self.policies_end = text.policy_end;
        } else {
            let policy = b", ".iter().chain(text.policy()).copied();
            lines.splice(self.policies_end..self.policies_end, policy);
            self.policies_end += 2 + text.policy().len();
            lines.truncate(lines.len() - END.len());
            lines.extend_from_slice(b", ");
            lines.extend_from_slice(text.item());
        }
        let seconds = match left {
            0 => whole_seconds(wait),
            left => whole_seconds(Duration::from_nanos(text.interval.saturating_mul(left))),
        };
        put_number(lines, left);
        lines.extend_from_slice(b";t=");
        put_number(lines, seconds);
        lines.extend_from_slice(END);
    }

    /// Nothing if no rule was added.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Name and value of each line.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let lines = str::from_utf8(&self.lines).unwrap_or_default().lines();
        let values = lines.filter_map(|it| Some(it.split_once(": ")?.1));
        ["RateLimit-Policy", "RateLimit"].into_iter().zip(values)
    }
}

/// Rounded up, and at least 1: an earlier attempt would be refused.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use oxicorn_common::rate_limits::RulesFile;

    use super::*;

    #[test]
    fn each_rule_is_an_item_of_both_lines() {
        let rules = "api 4/h burst=3\nlogin 5/m\nall 2000/s burst=1000000 by=server\n";
        let rules = RulesFile::parse(rules, Path::new("rules"))
            .expect(rules)
            .rules;
        let texts: Vec<LimitText> = rules.iter().map(LimitText::new).collect();
        let mut fields = LimitFields::default();
        let said = |fields: &LimitFields| String::from_utf8_lossy(fields.lines()).into_owned();
        assert_eq!((said(&fields).as_str(), fields.fields().count()), ("", 0));
        for _ in 0..2 {
            fields.begin();
            fields.add(&texts[0], 2, Duration::ZERO);
            assert_eq!(
                said(&fields),
                "RateLimit-Policy: \"api\";q=3;w=2700\r\nRateLimit: \"api\";r=2;t=1800\r\n"
            );
            fields.add(&texts[1], 0, Duration::from_millis(7_001));
            fields.add(&texts[2], 999_999, Duration::ZERO);
            let expected = [
                (
                    "RateLimit-Policy",
                    r#""api";q=3;w=2700, "login";q=5;w=60, "all";q=1000000;w=500"#,
                ),
                (
                    "RateLimit",
                    r#""api";r=2;t=1800, "login";r=0;t=8, "all";r=999999;t=500"#,
                ),
            ];
            assert!(fields.fields().eq(expected), "{}", said(&fields));
            let lines = expected.map(|(name, value)| format!("{name}: {value}\r\n"));
            assert_eq!(said(&fields), lines.concat());
        }
    }
}
