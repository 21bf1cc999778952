//! [`RulesFile`]: reads the file of rules. It is read whole, and each wrong line is named with what to write instead.
//!
//! ```text
//!   # NAME RATE/PERIOD [burst=N] [by=client|header:FIELD|server] [path=/A,/B] [method=A,B] [fields=..] [keys=N]
//!   api     10/s    burst=20 path=/api
//!   login   5/m     path=/login method=POST
//!   allow   10.0.0.0/8
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rule::{LimitKey, RateLimitRule, ShownFields};
use crate::settings::Peers;

/// A key needs a word of 8 octets.
const DEFAULT_KEYS: usize = 1 << 17;
const MOST_KEYS: usize = 1 << 26;
const MOST_RULES: usize = 64;
const MOST_REQUESTS: u64 = 1_000_000_000;
/// Above, the times of a bucket of a key are too coarse.
const MOST_PER_KEY_AND_SECOND: u64 = 10_000;
const LONGEST: Duration = Duration::from_secs(31 * 24 * 60 * 60);
const LONGEST_NAME: usize = 40;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesFile {
    pub rules: Vec<RateLimitRule>,
    /// Clients that no rule counts.
    pub allowed: Peers,
}

/// All that is wrong with the lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesFileError {
    file: PathBuf,
    /// Number of the line, and what to write.
    wrong: Vec<(usize, String)>,
}

impl std::error::Error for RulesFileError {}

impl fmt::Display for RulesFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (line, wrong)) in self.wrong.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{line}: {wrong}", self.file.display())?;
        }
        Ok(())
    }
}

impl RulesFile {
    /// Reads `text`, the contents of `file`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, RulesFileError> {
        let mut read = Self::default();
        let mut lines: Vec<usize> = Vec::new();
        let mut wrong = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let words: Vec<&str> = without_comment(line).split_whitespace().collect();
            let outcome = match words.as_slice() {
                [] => Ok(()),
                ["allow", addresses @ ..] => read.allow(addresses),
                [name, rate, options @ ..] => read_rule(name, rate, options).and_then(|rule| {
                    if let Some(at) = read.rules.iter().position(|it| it.name == rule.name) {
                        let first = lines[at];
                        return Err(format!(
                            "line {first} has a rule named {name}: give this one another name"
                        ));
                    }
                    read.rules.push(rule);
                    lines.push(number);
                    Ok(())
                }),
                [word] => Err(format!(
                    "{word:?} is no rule: write NAME RATE/PERIOD, such as `api 10/s`"
                )),
            };
            wrong.extend(outcome.err().map(|reason| (number, reason)));
        }
        if wrong.is_empty() && read.rules.is_empty() {
            let number = text.lines().count().max(1);
            wrong.push((
                number,
                "there is no rule: write one, such as `api 10/s`, or do not set rate_limits"
                    .to_owned(),
            ));
        }
        if read.rules.len() > MOST_RULES {
            let number = lines[MOST_RULES];
            wrong.push((number, format!("there are more than {MOST_RULES} rules")));
        }
        match wrong.is_empty() {
            true => Ok(read),
            false => Err(RulesFileError {
                file: file.to_owned(),
                wrong,
            }),
        }
    }

    fn allow(&mut self, addresses: &[&str]) -> Result<(), String> {
        if addresses.is_empty() {
            return Err(
                "allow whom? write addresses and networks, such as `allow 10.0.0.0/8 ::1`"
                    .to_owned(),
            );
        }
        for address in addresses {
            self.allowed
                .add(address)
                .map_err(|expected| format!("allow: expected {expected}"))?;
        }
        Ok(())
    }
}

/// A `#` begins a comment at the start of a word: paths may have others.
fn without_comment(line: &str) -> &str {
    let is_start = |at: usize| at == 0 || line.as_bytes()[at - 1].is_ascii_whitespace();
    let comment = line.match_indices('#').find(|(at, _)| is_start(*at));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn read_rule(name: &str, rate: &str, options: &[&str]) -> Result<RateLimitRule, String> {
    let is_legal = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
    if name.len() > LONGEST_NAME || !name.chars().all(is_legal) {
        return Err(format!(
            "{name:?} is no name: use up to {LONGEST_NAME} letters, digits, _ and -"
        ));
    }
    let (amount, period) = read_rate(rate)?;
    let mut rule = RateLimitRule {
        name: name.to_owned(),
        amount,
        period,
        burst: amount,
        by: LimitKey::Client,
        paths: Vec::new(),
        methods: Vec::new(),
        shown: ShownFields::Always,
        keys: DEFAULT_KEYS,
    };
    let (mut seen, mut shown) = (Vec::new(), None);
    for option in options {
        let Some((key, value)) = option.split_once('=') else {
            return Err(format!("{option:?} is no option: {OPTIONS}"));
        };
        if seen.contains(&key) {
            return Err(format!(
                "{key}= is there twice: separate several values with commas"
            ));
        }
        seen.push(key);
        match key {
            "burst" => {
                rule.burst = number(value, 1..=1_000_000).map_err(|it| format!("burst: {it}"))?
            }
            "by" => rule.by = read_by(value)?,
            "path" => rule.paths = read_list(value, "path", read_path)?,
            "method" => rule.methods = read_list(value, "method", read_method)?,
            "fields" => shown = Some(read_shown(value)?),
            "keys" => {
                let keys =
                    number(value, 8..=MOST_KEYS as u64).map_err(|it| format!("keys: {it}"))?;
                rule.keys = keys as usize;
            }
            _ => return Err(format!("there is no option {key}=: {OPTIONS}")),
        }
    }
    rule.shown = shown.unwrap_or(match rule.by {
        // What the server can take is nobody's business until it is too much.
        LimitKey::Server => ShownFields::Refused,
        _ => ShownFields::Always,
    });
    check(&rule, &seen)?;
    Ok(rule)
}

const OPTIONS: &str =
    "the options are burst=, by=, path=, method=, fields= and keys=, without spaces around the =";

/// What single words cannot tell.
fn check(rule: &RateLimitRule, options: &[&str]) -> Result<(), String> {
    let is_server = rule.by == LimitKey::Server;
    if is_server && options.contains(&"keys") {
        return Err(
            "keys= has no meaning with by=server, which counts all requests together".to_owned(),
        );
    }
    let fastest = Duration::from_secs(1).as_nanos() as u64 / MOST_PER_KEY_AND_SECOND;
    if !is_server && rule.interval() < Duration::from_nanos(fastest) {
        return Err(format!(
            "more than {MOST_PER_KEY_AND_SECOND} requests per second and key: write a lower rate, or by=server"
        ));
    }
    if rule.window_seconds() > LONGEST.as_secs() {
        return Err("it takes longer than 31 days until a burst may be repeated: write a smaller burst= or a higher rate".to_owned());
    }
    Ok(())
}

/// `10/s`, `100/30s`, `5/m`.
fn read_rate(text: &str) -> Result<(u64, Duration), String> {
    let wrong = || {
        format!(
            "{text:?} is no rate: write REQUESTS/PERIOD, such as 10/s, 100/30s, 5/m, 1000/h or 10000/d"
        )
    };
    let (amount, period) = text.split_once('/').ok_or_else(wrong)?;
    let amount = number(amount, 1..=MOST_REQUESTS).map_err(|_| wrong())?;
    let digits = period.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = period.split_at(digits);
    let count = match count {
        "" => 1,
        digits => number(digits, 1..=LONGEST.as_secs()).map_err(|_| wrong())?,
    };
    let unit = match unit {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 60 * 60,
        "d" | "day" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let period = Duration::from_secs(count.checked_mul(unit).ok_or_else(wrong)?);
    match period <= LONGEST {
        true => Ok((amount, period)),
        false => Err(format!("{text:?} has a period of more than 31 days")),
    }
}

fn read_by(text: &str) -> Result<LimitKey, String> {
    let is_token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&it);
    match text.split_once(':') {
        None if text == "client" => Ok(LimitKey::Client),
        None if text == "server" => Ok(LimitKey::Server),
        Some(("header", name)) if !name.is_empty() && name.bytes().all(is_token) => {
            Ok(LimitKey::Header(name.to_owned()))
        }
        Some(("header", name)) if name.contains('_') => Err(format!(
            "by: write header:{}, which counts {name} as well where header_map lets it through",
            name.replace('_', "-")
        )),
        _ => Err(format!(
            "by: expected client, server or header:FIELD such as header:X-Api-Key, not {text:?}"
        )),
    }
}

fn read_shown(text: &str) -> Result<ShownFields, String> {
    match text {
        "always" => Ok(ShownFields::Always),
        "refused" => Ok(ShownFields::Refused),
        "never" => Ok(ShownFields::Never),
        _ => Err(format!(
            "fields: expected always, refused or never, not {text:?}"
        )),
    }
}

fn read_list(
    text: &str,
    name: &str,
    read: fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    let items = text.split(',').map(read).collect::<Result<_, _>>();
    items.map_err(|reason| format!("{name}: {reason}"))
}

/// Requests are compared decoded, in lower case and without empty segments, so a rule is written that way.
fn read_path(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let path = lower.strip_suffix('/').unwrap_or(&lower);
    let is_plain = |segment: &str| !matches!(segment, "" | "." | "..");
    let has_segments = path.is_empty() || path.split('/').skip(1).all(is_plain);
    match text.starts_with('/') && has_segments && !text.contains(['%', '?', '*']) {
        true => Ok(path.to_owned()),
        false => Err(format!(
            "expected the beginning of a path such as /api, decoded and without ?, * and empty segments, not {text:?}"
        )),
    }
}

fn read_method(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|it| it.is_ascii_uppercase() || it == b'-') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected methods such as POST,PUT in capitals, not {text:?}"
        )),
    }
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let value = text.parse().ok().filter(|value| range.contains(value));
    let value = value.filter(|_| text.bytes().all(|it| it.is_ascii_digit()));
    let (least, most) = (range.start(), range.end());
    value.ok_or_else(|| format!("expected a whole number from {least} to {most}, not {text:?}"))
}

#[cfg(test)]
mod tests;
