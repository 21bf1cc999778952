//! Heads that a strict reader rejects but the settings permit. They are rewritten as strict heads, so that one reader
//! alone decides where a request ends.

use oxicorn_common::Settings;

use super::{Limits, RequestError};

/// Permitted deviations from RFC 9112 and common practice. None by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeadLeniency {
    /// Field lines that continue in the next line (RFC 9112 section 5.2).
    pub(crate) folding: bool,
    /// White space before the colon (RFC 9112 section 5.1).
    pub(crate) field_spaces: bool,
    pub(crate) any_method: bool,
    /// Methods are converted to upper case.
    pub(crate) casefold: bool,
    /// Any version of two digits, served as the nearest that the server supports.
    pub(crate) any_version: bool,
}

impl From<&Settings> for HeadLeniency {
    fn from(settings: &Settings) -> Self {
        let permitted = settings.leniency;
        Self {
            folding: permitted.obsolete_folding,
            field_spaces: permitted.header_spaces,
            any_method: permitted.unconventional_method,
            casefold: permitted.casefold_method,
            any_version: permitted.unconventional_version,
        }
    }
}

impl HeadLeniency {
    /// Whether a head may have to be rewritten.
    pub(crate) fn rewrites(self) -> bool {
        self.folding || self.field_spaces || self.casefold || self.any_version
    }

    /// Whether `line` continues the field line before it.
    pub(crate) fn continues(self, line: &[u8]) -> bool {
        self.folding && matches!(line.first(), Some(b' ' | b'\t'))
    }

    /// The strict form of `head`, whose lines all end in CRLF.
    pub(crate) fn rewrite(self, head: &[u8], limits: &Limits) -> Result<Vec<u8>, RequestError> {
        let mut out = Vec::with_capacity(head.len());
        let mut lines = head
            .split_inclusive(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r\n").unwrap_or(line));
        self.put_request_line(&mut out, lines.next().unwrap_or_default());
        // Octets of the field line so far; none before the first, which cannot continue another line.
        let mut field = None;
        for line in lines {
            match field {
                Some(octets) if self.continues(line) => {
                    let octets = octets + line.len();
                    if octets > limits.field_size {
                        return Err(RequestError::FieldsTooLarge);
                    }
                    field = Some(octets);
                    let before = out.strip_suffix(b"\r\n").unwrap_or(&out);
                    out.truncate(trim_end(before).len());
                    out.push(b' ');
                    // The reader removes white space at its end, as in any line.
                    out.extend_from_slice(trim_start(line));
                }
                _ => {
                    field = Some(line.len());
                    self.put_field(&mut out, line);
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        Ok(out)
    }

    fn put_request_line(self, out: &mut Vec<u8>, line: &[u8]) {
        out.extend_from_slice(line);
        // A method that is not permitted must be rejected, not turned into one that is.
        if self.casefold && self.any_method {
            let end = line.iter().position(|&byte| byte == b' ');
            out[..end.unwrap_or(0)].make_ascii_uppercase();
        }
        if self.any_version
            && let [.., b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = out.as_mut_slice()
            && major.is_ascii_digit()
            && minor.is_ascii_digit()
        {
            // RFC 9110 section 2.5: the highest minor version that we support.
            *minor = match (*major, *minor) >= (b'1', b'1') {
                true => b'1',
                false => b'0',
            };
            *major = b'1';
        }
        out.extend_from_slice(b"\r\n");
    }

    fn put_field(self, out: &mut Vec<u8>, line: &[u8]) {
        match line.iter().position(|&byte| byte == b':') {
            Some(colon) if self.field_spaces => {
                out.extend_from_slice(trim_end(&line[..colon]));
                out.extend_from_slice(&line[colon..]);
            }
            _ => out.extend_from_slice(line),
        }
    }
}

/// Not `trim_ascii`: a bare CR is not white space, and must be rejected.
fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HeadLeniency = HeadLeniency {
        folding: true,
        field_spaces: true,
        any_method: true,
        casefold: true,
        any_version: true,
    };

    fn rewritten(leniency: HeadLeniency, head: &str) -> String {
        let limits = Limits {
            field_size: 20,
            ..Limits::default()
        };
        let out = leniency.rewrite(head.as_bytes(), &limits);
        String::from_utf8(out.expect("within the limits")).expect("text")
    }

    #[test]
    fn what_is_strict_stays_as_it_is() {
        let head = "GET / HTTP/1.1\r\nA: b\r\nC:\td e \r\n\r\n";
        assert_eq!(rewritten(ALL, head), head);
        assert_eq!(rewritten(HeadLeniency::default(), head), head);
    }

    #[test]
    fn folded_lines_are_one_line() {
        let head = "GET / HTTP/1.1\r\nA: b \r\n\t c\r\n d\r\nE:\r\n f\r\n\r\n";
        assert_eq!(
            rewritten(ALL, head),
            "GET / HTTP/1.1\r\nA: b c d\r\nE: f\r\n\r\n"
        );
        let first = "GET / HTTP/1.1\r\n A: b\r\n\r\n";
        assert_eq!(rewritten(ALL, first), first, "nothing goes before it");
        let strict = HeadLeniency {
            folding: false,
            ..ALL
        };
        assert_eq!(rewritten(strict, head), head);
    }

    #[test]
    fn folds_count_towards_the_size_of_a_field() {
        let limits = Limits {
            field_size: 20,
            ..Limits::default()
        };
        let head = "GET / HTTP/1.1\r\nA: 456789\r\n        90\r\n .\r\n\r\n";
        assert!(ALL.rewrite(head.as_bytes(), &limits).is_err());
    }

    #[test]
    fn spaces_before_the_colon_go() {
        let head = "GET / HTTP/1.1\r\nA \t: b : c\r\nno colon \r\n\r\n";
        assert_eq!(
            rewritten(ALL, head),
            "GET / HTTP/1.1\r\nA: b : c\r\nno colon \r\n\r\n"
        );
    }

    #[test]
    fn request_lines_are_made_conventional() {
        for (line, strict) in [
            ("get /a HTTP/1.1", "GET /a HTTP/1.1"),
            ("GET / HTTP/1.7", "GET / HTTP/1.1"),
            ("GET / HTTP/3.0", "GET / HTTP/1.1"),
            ("GET / HTTP/0.9", "GET / HTTP/1.0"),
            ("GET / HTTP/10.1", "GET / HTTP/10.1"),
            ("GET /", "GET /"),
            ("", ""),
        ] {
            assert_eq!(
                rewritten(ALL, &format!("{line}\r\n\r\n")),
                format!("{strict}\r\n\r\n")
            );
        }
        let unfolded = HeadLeniency {
            any_method: false,
            ..ALL
        };
        assert_eq!(
            rewritten(unfolded, "get / HTTP/1.1\r\n\r\n"),
            "get / HTTP/1.1\r\n\r\n"
        );
    }
}
