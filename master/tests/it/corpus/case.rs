//! One case of the corpus; `tests/corpus/README.md` has the format.

use std::fs;
use std::path::Path;

/// The contents of a file.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) answers: Vec<Expected>,
    pub(crate) ending: Ending,
    pub(crate) says: Vec<String>,
    /// Flags of the server, in addition to those of all cases.
    pub(crate) settings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) method: &'static str,
}

/// The state of the connection after the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Keep,
    Close,
    /// The client goes on although it has said that it does not.
    CloseOrReset,
    Silent,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (head, body) = text
            .split_once("\n\n")
            .unwrap_or_else(|| panic!("{name}: no empty line"));
        let mut case = Self {
            bytes: unescape(&body.replace('\n', "")),
            answers: Vec::new(),
            ending: Ending::Silent,
            says: Vec::new(),
            settings: Vec::new(),
            name,
        };
        for line in head.lines().filter(|line| !line.starts_with('#')) {
            match line.split_once(": ") {
                Some(("expect", words)) => case.expect(words),
                Some(("settings", flags)) => {
                    case.settings.extend(flags.split(' ').map(str::to_owned));
                }
                Some(("says", text)) => case.says.push(says(text)),
                _ => panic!("{}: {line:?}", case.name),
            }
        }
        case
    }

    fn expect(&mut self, words: &str) {
        for word in words.split(' ') {
            match word {
                "keep" => self.ending = Ending::Keep,
                "close" => self.ending = Ending::Close,
                "close-or-reset" => self.ending = Ending::CloseOrReset,
                "silent" => self.ending = Ending::Silent,
                _ => {
                    let (method, status) = match word.strip_prefix("HEAD=") {
                        Some(status) => ("HEAD", status),
                        None => ("GET", word),
                    };
                    let status = status
                        .parse()
                        .unwrap_or_else(|_| panic!("{}: {word:?}", self.name));
                    self.answers.push(Expected { status, method });
                }
            }
        }
    }
}

fn says(text: &str) -> String {
    String::from_utf8(unescape(text)).expect("answers of the lab are text")
}

/// Replaces escapes by their bytes.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        rest = match escape.as_bytes().first() {
            Some(b'r') => push(&mut bytes, b'\r', escape, 1),
            Some(b'n') => push(&mut bytes, b'\n', escape, 1),
            Some(b't') => push(&mut bytes, b'\t', escape, 1),
            Some(b'\\') => push(&mut bytes, b'\\', escape, 1),
            Some(b'x') => {
                let byte = u8::from_str_radix(&escape[1..3], 16).expect("two hexadecimal digits");
                push(&mut bytes, byte, escape, 3)
            }
            Some(b'{') => {
                let end = closing(escape);
                let (count, text) = escape[1..end].split_once('*').expect("COUNT*TEXT");
                let count = count.parse().expect("a count");
                bytes.extend(unescape(text).repeat(count));
                &escape[end + 1..]
            }
            other => panic!("no such escape: {other:?} in {text:?}"),
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn push<'a>(bytes: &mut Vec<u8>, byte: u8, rest: &'a str, length: usize) -> &'a str {
    bytes.push(byte);
    &rest[length..]
}

/// The position of the bracket that closes the first one in `text`.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    panic!("a bracket is open in {text:?}")
}

#[test]
fn escapes_are_bytes() {
    assert_eq!(unescape(r"a\r\n\x00\\\{2*b\{2*c}}d"), b"a\r\n\0\\bccbccd");
}
