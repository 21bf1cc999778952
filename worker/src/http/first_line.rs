//! The part of an unreadable request that the log can show.

use oxicorn_common::request::{RequestHead, Span};

use super::head::span_within;

/// The log shows no more of a line that is not a request line.
const LINE_IN_LOG: usize = 1024;

/// Makes a head of an unreadable request: its first line, and the method if that is valid. It has no
/// target; all other heads have one.
pub(crate) fn put_line(input: &[u8], head: &mut RequestHead) {
    let start = input.iter().position(|byte| !b"\r\n".contains(byte));
    let line = &input[start.unwrap_or(input.len())..];
    let end = line.iter().position(|byte| b"\r\n".contains(byte));
    let line = &line[..end.unwrap_or(line.len()).min(LINE_IN_LOG)];
    let word = line.split(|&byte| byte == b' ').next().unwrap_or(line);
    let method = match word.iter().all(u8::is_ascii_graphic) {
        true => span_within(line, word),
        false => Span::default(),
    };
    *head = RequestHead {
        bytes: line.to_vec(),
        method,
        ..RequestHead::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_still_has_a_first_line() {
        let told = |input: &[u8]| {
            let mut head = RequestHead::default();
            put_line(input, &mut head);
            assert_eq!(head.target(), "");
            (head.method().to_owned(), head.bytes)
        };
        let get = (String::from("GET"), b"GET / HTTP/3.7".to_vec());
        assert_eq!(told(b"\r\nGET / HTTP/3.7\r\nHost: a\r\n\r\n"), get);
        assert_eq!(told(b"nonsense\n").0, "nonsense");
        assert_eq!(told(b"\x16\x03\x01").0, "");
        assert_eq!(told(&[b'x'; 9000]).1.len(), LINE_IN_LOG);
        assert_eq!(told(b"\r\n").1, b"");
    }
}
