//! Writes one JSON object (RFC 8259) on one line, whatever its values are.
//!
//! Values come from clients and applications. Octets that are no UTF-8 are taken for Latin-1. What ends a line,
//! controls a terminal or changes the direction of text is escaped, as in other lines (`Escape::Json`).

use std::time::Duration;

use super::escape::{Escape, are_plain};

/// An object that is being written to the end of a buffer. Keys are plain text, and not escaped.
#[derive(Debug)]
pub(super) struct JsonObject<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> JsonObject<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        // Most objects fit.
        out.reserve(1024);
        out.push(b'{');
        let is_empty = true;
        Self { out, is_empty }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.quoted(key, |out| Escape::Json.append_text(out, value));
    }

    pub(super) fn octets(&mut self, key: &str, value: &[u8]) {
        self.quoted(key, |out| append(out, value));
    }

    /// A string of which `write` appends the contents, escaped or without need of an escape.
    pub(super) fn quoted(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    /// An array of one string.
    pub(super) fn list_of_one(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(b"[\"");
        append(self.out, value);
        self.out.extend_from_slice(b"\"]");
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        append_number(self.out, value);
    }

    /// In seconds, to the microsecond.
    pub(super) fn seconds(&mut self, key: &str, value: Duration) {
        self.key(key);
        append_seconds(self.out, value);
    }

    /// Members that are JSON already, with commas between them.
    pub(super) fn members(&mut self, members: &str) {
        if !members.is_empty() {
            self.separate();
            self.out.extend_from_slice(members.as_bytes());
        }
    }

    #[inline]
    fn key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }
}

fn append(out: &mut Vec<u8>, value: &[u8]) {
    if are_plain(value) {
        return out.extend_from_slice(value);
    }
    match std::str::from_utf8(value) {
        Ok(text) => Escape::Json.append_text(out, text),
        Err(_) => Escape::Json.append_bytes(out, value),
    }
}

/// `00` to `99`.
const PAIRS: [u8; 200] = {
    let mut pairs = [b'0'; 200];
    let mut number = 0;
    while number < 100 {
        pairs[number * 2] += (number / 10) as u8;
        pairs[number * 2 + 1] += (number % 10) as u8;
        number += 1;
    }
    pairs
};

/// Two digits at a time: a division takes longer than all the rest.
pub(super) fn append_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    while number >= 10 {
        let pair = (number % 100) as usize * 2;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
        number /= 100;
    }
    // A last pair may have left nothing.
    if number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

/// `1.000002`.
pub(super) fn append_seconds(out: &mut Vec<u8>, value: Duration) {
    append_number(out, value.as_secs());
    let start = out.len();
    append_number(out, 1_000_000 + u64::from(value.subsec_micros()));
    out[start] = b'.';
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(write: impl FnOnce(&mut JsonObject<'_>)) -> (String, Value) {
        let mut out = Vec::new();
        let mut object = JsonObject::begin(&mut out);
        write(&mut object);
        object.end();
        let text = String::from_utf8(out).expect("UTF-8");
        let value = serde_json::from_str(&text).expect(&text);
        (text, value)
    }

    #[test]
    fn an_object_has_its_members_in_order() {
        let (text, _) = written(|it| {
            it.text("a", "b\"\n");
            it.number("n", 0);
            it.seconds("s", Duration::new(1, 2_999));
            it.list_of_one("l", b"x");
            it.members("");
            it.members("\"more\":null,\"most\":true");
        });
        assert_eq!(
            text,
            r#"{"a":"b\"\u000a","n":0,"s":1.000002,"l":["x"],"more":null,"most":true}"#
        );
        assert_eq!(written(|_| {}).0, "{}");
    }

    #[test]
    fn numbers_have_all_their_digits_and_no_more() {
        let around = |power| {
            [
                10_u64.pow(power) - 1,
                10_u64.pow(power),
                10_u64.pow(power) + 1,
            ]
        };
        for number in (0..20).flat_map(around).chain(0..1100).chain([u64::MAX]) {
            let mut out = Vec::new();
            append_number(&mut out, number);
            assert_eq!(String::from_utf8(out), Ok(number.to_string()));
        }
    }

    #[test]
    fn any_octets_are_a_string_of_one_line() {
        for first in 0..=255_u8 {
            for second in [0, b'"', b'\\', b'x', 0x80, 0xa8, 0xc3, 0xed, 0xff] {
                let octets = [first, second, b'.'];
                let (text, value) = written(|it| it.octets("v", &octets));
                let expected = match std::str::from_utf8(&octets) {
                    Ok(text) => text.to_owned(),
                    Err(_) => octets.iter().copied().map(char::from).collect(),
                };
                assert_eq!(value, json!({"v": expected}));
                assert!(!text.chars().any(char::is_control), "{octets:?}");
            }
        }
        let (text, value) = written(|it| it.text("v", "\u{2028}\u{202e}\u{9b}\u{1f600}"));
        assert_eq!(text, "{\"v\":\"\\u2028\\u202e\\u009b\u{1f600}\"}");
        assert_eq!(value["v"], "\u{2028}\u{202e}\u{9b}\u{1f600}");
    }
}
