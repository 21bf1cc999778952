//! Reads the fields that frame a message (RFC 9112 sections 6 and 9) in one pass: the length of the body, and whether
//! the connection is kept.

use oxicorn_common::request::{RequestHead, Version};

use super::RequestError;
use super::token::is_token_byte;

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Length {
    #[default]
    None,
    Known(u64),
    Chunked,
}

/// The framing fields together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Framing {
    pub(crate) length: Length,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
}

impl Framing {
    /// Whether a body follows the head.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.length, Length::None | Length::Known(0))
    }

    pub(crate) fn of(head: &RequestHead, body_limit: u64) -> Result<Self, RequestError> {
        let mut fields = FramingFields::default();
        for (name, value) in head.fields() {
            fields.note(name, value, head.version)?;
        }
        fields.decide(head.version, body_limit)
    }
}

#[derive(Default)]
struct FramingFields {
    content_types: usize,
    content_length: Option<u64>,
    /// The codings named so far end in `chunked`.
    chunked: bool,
    transfer_encoding: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl FramingFields {
    fn note(&mut self, name: &str, value: &[u8], version: Version) -> Result<(), RequestError> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            6 if is("expect") && version == Version::Http11 => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(RequestError::Expectation);
                }
                self.expects_continue = true;
            }
            10 if is("connection") => self.note_connection(value),
            // A field with one value (RFC 9110 section 8.3): with several, two readers may use different ones.
            12 if is("content-type") => {
                self.content_types += 1;
                if self.content_types > 1 {
                    return Err(RequestError::ContentType);
                }
            }
            14 if is("content-length") => {
                if self.content_length.is_some() {
                    return Err(RequestError::ContentLength);
                }
                self.content_length = Some(parse_length(value)?);
            }
            17 if is("transfer-encoding") => self.note_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), RequestError> {
        self.transfer_encoding = true;
        for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if self.chunked || coding.is_empty() {
                // Chunked must be the last coding, once (RFC 9112 section 6.1).
                return Err(RequestError::TransferEncoding);
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                // Codings have no parameters any more (RFC 9112 section 7).
                return match coding.iter().copied().all(is_token_byte) {
                    true => Err(RequestError::TransferCoding),
                    false => Err(RequestError::TransferEncoding),
                };
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn decide(self, version: Version, body_limit: u64) -> Result<Framing, RequestError> {
        let length = match (self.transfer_encoding, self.content_length) {
            (true, Some(_)) => return Err(RequestError::TransferEncoding),
            (true, None) if version == Version::Http10 => {
                return Err(RequestError::TransferEncoding);
            }
            (true, None) => Length::Chunked,
            (false, Some(length)) if length > body_limit => return Err(RequestError::BodyTooLarge),
            (false, Some(length)) => Length::Known(length),
            (false, None) => Length::None,
        };
        let keep_alive = match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        };
        Ok(Framing {
            length,
            keep_alive,
            expects_continue: self.expects_continue,
        })
    }
}

/// Digits only: no sign, no list, no white space, and no overflow.
fn parse_length(value: &[u8]) -> Result<u64, RequestError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(RequestError::ContentLength);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(RequestError::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Rules;
    use crate::http::head::Scan;

    fn framing(request: &str) -> Result<Framing, u16> {
        let rules = Rules::default();
        let input = request.replace('\n', "\r\n");
        let mut scan = Scan::default();
        let mut head = RequestHead::default();
        let status = |error: RequestError| error.status().as_u16();
        let end = scan
            .find_end(input.as_bytes(), &rules)
            .map_err(status)?
            .expect("a whole head");
        scan.parse(input.as_bytes(), end, &rules, &mut head)
            .map_err(status)?;
        Framing::of(&head, 1000).map_err(status)
    }

    fn length(fields: &str) -> Result<Length, u16> {
        framing(&format!("POST / HTTP/1.1\nHost: a\n{fields}\n")).map(|framing| framing.length)
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(length(""), Ok(Length::None));
        assert_eq!(length("Content-Length: 0\n"), Ok(Length::Known(0)));
        assert_eq!(length("Content-Length: 42\n"), Ok(Length::Known(42)));
        assert_eq!(length("Transfer-Encoding: Chunked\n"), Ok(Length::Chunked));
        for bad in ["+1", "-1", "0x1", "1 1", "1,1", "", "१"] {
            assert_eq!(
                length(&format!("Content-Length: {bad}\n")),
                Err(400),
                "{bad:?}"
            );
        }
        assert_eq!(length("Content-Length: 1\nContent-Length: 1\n"), Err(400));
        assert_eq!(
            length("Content-Length: 1\nTransfer-Encoding: chunked\n"),
            Err(400)
        );
        assert_eq!(length("Content-Length: 1001\n"), Err(413));
        assert_eq!(length("Content-Length: 18446744073709551615\n"), Err(413));
        for bad in ["18446744073709551616", "99999999999999999999999"] {
            assert_eq!(length(&format!("Content-Length: {bad}\n")), Err(400));
        }
    }

    #[test]
    fn chunked_is_the_only_and_last_coding() {
        assert_eq!(length("Transfer-Encoding: gzip, chunked\n"), Err(501));
        assert_eq!(length("Transfer-Encoding: identity\n"), Err(501));
        for bad in [
            "chunked;q=1",
            "gzip ;a=b, chunked",
            "gzip;a, chunked",
            "\"chunked\"",
            "a b",
            "chunked, chunked",
            ",chunked",
        ] {
            assert_eq!(
                length(&format!("Transfer-Encoding: {bad}\n")),
                Err(400),
                "{bad}"
            );
        }
        assert_eq!(length("Transfer-Encoding: chunked, gzip\n"), Err(400));
        assert_eq!(
            length("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n"),
            Err(400)
        );
        assert_eq!(length("Transfer-Encoding: \n"), Err(400));
        assert_eq!(
            framing("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n").map(|it| it.length),
            Err(400)
        );
    }

    #[test]
    fn connections_persist_as_the_version_has_it() {
        let keeps = |request: &str| framing(request).map(|framing| framing.keep_alive);
        assert_eq!(keeps("GET / HTTP/1.1\nHost: a\n\n"), Ok(true));
        assert_eq!(
            keeps("GET / HTTP/1.1\nHost: a\nConnection: x, Close\n\n"),
            Ok(false)
        );
        assert_eq!(keeps("GET / HTTP/1.0\n\n"), Ok(false));
        assert_eq!(
            keeps("GET / HTTP/1.0\nConnection: keep-alive\n\n"),
            Ok(true)
        );
    }

    #[test]
    fn a_type_of_content_is_said_once() {
        assert_eq!(length("Content-Type: a/b\n"), Ok(Length::None));
        assert_eq!(length("Content-Type: a/b\nContent-type: a/b\n"), Err(400));
    }

    #[test]
    fn only_one_expectation_is_known() {
        let expects = |request: &str| framing(request).map(|framing| framing.expects_continue);
        assert_eq!(
            expects("GET / HTTP/1.1\nHost: a\nExpect: 100-Continue\n\n"),
            Ok(true)
        );
        assert_eq!(
            expects("GET / HTTP/1.1\nHost: a\nExpect: 200\n\n"),
            Err(417)
        );
        assert_eq!(
            expects("GET / HTTP/1.0\nExpect: 100-continue\n\n"),
            Ok(false)
        );
    }
}
