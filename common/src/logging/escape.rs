//! Escapes what clients send, so that nothing in a log line ends the line, controls a terminal, or closes the
//! quotation marks around it.

use std::io::Write;

/// How characters are written that cannot stand in a line as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\"`, `\\`, `\xNN` and, beyond Latin-1, `\uNNNN`.
    #[default]
    Line,
    /// As in the strings of JSON (RFC 8259 section 7): `\"`, `\\` and `\uNNNN`.
    Json,
}

impl Escape {
    /// Appends bytes, taken for Latin-1, as UTF-8.
    pub(super) fn append_bytes(self, out: &mut Vec<u8>, bytes: &[u8]) {
        if are_plain(bytes) {
            return out.extend_from_slice(bytes);
        }
        for &byte in bytes {
            self.append(out, char::from(byte));
        }
    }

    pub(super) fn append_text(self, out: &mut Vec<u8>, text: &str) {
        if are_plain(text.as_bytes()) {
            return out.extend_from_slice(text.as_bytes());
        }
        for character in text.chars() {
            self.append(out, character);
        }
    }

    /// The text with its unsafe characters escaped.
    pub fn text(self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        self.append_text(&mut out, text);
        String::from_utf8(out).unwrap_or_default()
    }

    fn append(self, out: &mut Vec<u8>, character: char) {
        let code = u32::from(character);
        // Writing into memory cannot fail.
        let _ = match character {
            '"' | '\\' => write!(out, "\\{character}"),
            _ if !is_unsafe(character) => write!(out, "{character}"),
            _ if self == Self::Line && code <= 0xff => write!(out, "\\x{code:02x}"),
            _ => write!(out, "\\u{code:04x}"),
        };
    }
}

/// Whether bytes are ASCII and need no escape. Without a branch per byte, so that the compiler uses vector
/// instructions.
pub(super) fn are_plain(bytes: &[u8]) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    bytes.iter().fold(true, |all, &byte| all & is_plain(byte))
}

/// Control characters of ASCII and Latin-1 (NEL ends a line, CSI begins a terminal's command), the separators of
/// lines and paragraphs, and characters that change the direction of the text around them and so show it in
/// another order (Unicode Standard Annex 9).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of the longest start of `escaped` that has at most `most` characters. An escape sequence counts as
/// one, and is not cut.
pub(super) fn cut(escaped: &[u8], most: usize) -> usize {
    let mut at = 0;
    for _ in 0..most {
        at += match escaped[at..] {
            [] => break,
            [b'\\', b'x', ..] => 4,
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            [first, ..] => match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0.. => 4,
            },
        };
    }
    at.min(escaped.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_ends_a_line_or_controls_a_terminal() {
        for character in (0..=0x1_0000).filter_map(char::from_u32) {
            for escape in [Escape::Line, Escape::Json] {
                let text = escape.text(&format!("a{character}b"));
                assert!(!text.chars().any(is_unsafe), "{character:?}: {text}");
                let quotes = text.replace("\\\\", "").replace("\\\"", "");
                assert!(!quotes.contains('"'), "{character:?}: {text}");
                assert_eq!(cut(text.as_bytes(), 2), text.len() - 1, "{text}");
            }
        }
    }

    #[test]
    fn escapes_are_those_of_the_format() {
        let text = "\t\"\\\u{85}\u{2028}\u{e9}\u{20ac}\u{202e}\u{7f}";
        assert_eq!(
            Escape::Line.text(text),
            "\\x09\\\"\\\\\\x85\\u2028\u{e9}\u{20ac}\\u202e\\x7f"
        );
        assert_eq!(
            Escape::Json.text(text),
            "\\u0009\\\"\\\\\\u0085\\u2028\u{e9}\u{20ac}\\u202e\\u007f"
        );
        let mut out = Vec::new();
        Escape::Line.append_bytes(&mut out, b"\x9b\xe9\\");
        assert_eq!(out, "\\x9b\u{e9}\\\\".as_bytes());
    }

    #[test]
    fn a_cut_leaves_no_half_of_anything() {
        let escaped = "a\\\\\\\"\\x09\\u2028\u{e9}\u{20ac}\u{1f600}".as_bytes();
        let lengths: Vec<_> = (0..10).map(|most| cut(escaped, most)).collect();
        assert_eq!(lengths, [0, 1, 3, 5, 9, 15, 17, 20, 24, 24]);
    }
}
