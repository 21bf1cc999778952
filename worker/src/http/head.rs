//! The head of a request. Finds its end line by line, so that every limit applies before a line is complete. Then
//! httparse reads it, and the further requirements of RFC 9112 for a server are checked here.

use std::mem::MaybeUninit;

use memchr::{memchr, memrchr};
use oxicorn_common::request::{RequestHead, Span, Version};

use super::rules::Rules;
use super::{RequestError, target};

/// Empty lines before a request line that are skipped (RFC 9112 section 2.2).
const LEADING_EMPTY_LINES: usize = 4;
/// The longest method that gunicorn accepts.
const LONGEST_METHOD: usize = 20;
/// Field lines that are parsed without a heap allocation.
const FIELDS_ON_STACK: usize = 64;

/// The progress of the search for the end of the head; it looks at each byte once.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    start: usize,
    line: usize,
    searched: usize,
    empty: usize,
    lines: usize,
}

impl Scan {
    /// The length of the head including its empty line, once all of it is in `input`.
    pub(crate) fn find_end(
        &mut self,
        input: &[u8],
        rules: &Rules,
    ) -> Result<Option<usize>, RequestError> {
        while let Some(at) = memchr(b'\n', &input[self.searched..]) {
            let lf = self.searched + at;
            self.check_head(lf + 1, rules)?;
            let ended = &input[self.line..lf];
            let Some(line) = ended.strip_suffix(b"\r") else {
                // An error that was certain before the LF came is reported first, however the bytes were split.
                let known = &ended[..ended.len().saturating_sub(1)];
                self.check_line(known, self.begins_field(known, rules), rules)?;
                return Err(RequestError::BareLf);
            };
            self.searched = lf + 1;
            if !line.is_empty() {
                let begins = self.begins_field(line, rules);
                self.check_line(line, begins, rules)?;
                self.lines += usize::from(begins);
            } else if self.lines > 0 {
                return Ok(Some(lf + 1));
            } else {
                self.empty += 1;
                self.start = lf + 1;
                if self.empty > LEADING_EMPTY_LINES {
                    return Err(RequestError::RequestLine);
                }
            }
            self.line = lf + 1;
        }
        self.searched = input.len();
        if self.lines == 0
            && let Some(&first) = input.get(self.start)
            && !first.is_ascii_graphic()
            && first != b'\r'
        {
            // This is not HTTP, but for example a TLS handshake: waiting for more would never end.
            return Err(RequestError::RequestLine);
        }
        // The CR may have come already, but not its LF.
        let line = &input[self.line..input.len().saturating_sub(1).max(self.line)];
        self.check_line(line, self.begins_field(line, rules), rules)?;
        self.check_head(input.len(), rules)?;
        Ok(None)
    }

    /// `length` is the length of the head so far.
    fn check_head(&self, length: usize, rules: &Rules) -> Result<(), RequestError> {
        let length = length - self.start;
        match self.lines {
            _ if length <= rules.limits.head => Ok(()),
            // The narrower limit is the one to report.
            0 if rules.limits.request_line.saturating_add(2) <= rules.limits.head => {
                Err(RequestError::LineTooLong)
            }
            0 => Err(RequestError::LineBeyondHead),
            _ => Err(RequestError::HeadTooLarge),
        }
    }

    /// Whether `line` is a line of its own and does not continue the field line before it.
    fn begins_field(&self, line: &[u8], rules: &Rules) -> bool {
        self.lines < 2 || !rules.leniency.continues(line)
    }

    fn check_line(&self, line: &[u8], begins: bool, rules: &Rules) -> Result<(), RequestError> {
        let (limits, length) = (&rules.limits, line.len());
        if self.lines == 0 {
            if line.first().is_some_and(|first| !first.is_ascii_graphic()) {
                return Err(RequestError::RequestLine);
            }
            if length <= limits.request_line && length <= LONGEST_METHOD {
                return Ok(());
            }
            // If the method has no end within its limit, that limit is the one that is exceeded.
            let most = match rules.leniency.any_method {
                true => limits.request_line,
                false => LONGEST_METHOD,
            };
            return match memchr(b' ', &line[..length.min(most.saturating_add(1))]) {
                None if length > most => Err(RequestError::Method),
                _ if length > limits.request_line => Err(RequestError::LineTooLong),
                _ => Ok(()),
            };
        }
        if length > limits.field_size || (length > 0 && begins && self.lines > limits.fields) {
            return Err(RequestError::FieldsTooLarge);
        }
        Ok(())
    }

    /// Reads the head that ends at `end` of `input` into `head`, whose buffers are reused.
    pub(crate) fn parse(
        &self,
        input: &[u8],
        end: usize,
        rules: &Rules,
        head: &mut RequestHead,
    ) -> Result<(), RequestError> {
        let input = &input[self.start..end];
        if rules.leniency.rewrites() {
            let strict = rules.leniency.rewrite(input, &rules.limits)?;
            return self.parse_strictly(&strict, rules, head);
        }
        self.parse_strictly(input, rules, head)
    }

    fn parse_strictly(
        &self,
        input: &[u8],
        rules: &Rules,
        head: &mut RequestHead,
    ) -> Result<(), RequestError> {
        head.fields.clear();
        let any_method = rules.leniency.any_method;
        if self.lines <= FIELDS_ON_STACK {
            read(
                input,
                any_method,
                head,
                &mut [const { MaybeUninit::uninit() }; FIELDS_ON_STACK],
            )?;
        } else {
            let mut storage = vec![MaybeUninit::uninit(); self.lines];
            read(input, any_method, head, &mut storage)?;
        }
        head.bytes.clear();
        head.bytes.extend_from_slice(input);
        Ok(())
    }
}

/// Fills the spans of `head` from `input`.
fn read<'a>(
    input: &'a [u8],
    any_method: bool,
    head: &mut RequestHead,
    storage: &mut [MaybeUninit<httparse::Header<'a>>],
) -> Result<(), RequestError> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, storage) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) | Err(httparse::Error::NewLine) => {
            return Err(RequestError::RequestLine);
        }
        Err(httparse::Error::TooManyHeaders) => return Err(RequestError::FieldsTooLarge),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
            return Err(RequestError::Field);
        }
        Err(_) => return Err(blame_request_line(input)),
    }
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(RequestError::RequestLine);
    };
    if !any_method && !is_conventional(method) {
        return Err(RequestError::Method);
    }
    target::check(method, path)?;
    let span = |part: &[u8]| span_within(input, part);
    head.method = span(method.as_bytes());
    head.target = span(path.as_bytes());
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    head.fields.extend(
        request
            .headers
            .iter()
            .map(|field| (span(field.name.as_bytes()), span(field.value))),
    );
    Ok(())
}

/// The position of `part` in `whole`, of which it must be a slice.
pub(super) fn span_within(whole: &[u8], part: &[u8]) -> Span {
    if part.is_empty() {
        return Span::default();
    }
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        start: position(start),
        end: position(start + part.len()),
    }
}

/// The methods that gunicorn accepts by default: 3 to 20 characters, none of them lower case.
/// The parser has already checked that the method is a token.
fn is_conventional(method: &str) -> bool {
    (3..=LONGEST_METHOD).contains(&method.len())
        && !method
            .bytes()
            .any(|byte| byte.is_ascii_lowercase() || byte == b'#')
}

/// Tells an unsupported version, `HTTP/` and two digits, from an invalid line.
fn blame_request_line(input: &[u8]) -> RequestError {
    let line = memchr(b'\r', input).map_or(input, |end| &input[..end]);
    let version = memrchr(b' ', line).map_or(line, |space| &line[space + 1..]);
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit()
                && minor.is_ascii_digit()
                && !matches!((major, minor), (b'1', b'0' | b'1')) =>
        {
            RequestError::Version
        }
        _ => RequestError::RequestLine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Limits;
    use crate::http::lenient::HeadLeniency;

    fn rules() -> Rules {
        Rules {
            limits: Limits {
                request_line: 40,
                fields: 3,
                field_size: 30,
                ..Limits::default()
            },
            ..Rules::default()
        }
    }

    /// The head, or the status of its rejection; byte by byte the result is the same.
    fn head(input: &[u8]) -> Result<Option<RequestHead>, u16> {
        head_by(&rules(), input)
    }

    fn head_by(rules: &Rules, input: &[u8]) -> Result<Option<RequestHead>, u16> {
        let whole = scan(rules, input, input.len());
        let by_byte = scan(rules, input, 1);
        assert_eq!(
            whole.as_ref().map(Option::is_some),
            by_byte.as_ref().map(Option::is_some),
            "{}",
            input.escape_ascii()
        );
        whole
    }

    fn scan(rules: &Rules, input: &[u8], step: usize) -> Result<Option<RequestHead>, u16> {
        let mut scan = Scan::default();
        let status = |error: RequestError| error.status().as_u16();
        for end in (0..input.len()).step_by(step).map(|at| at + step) {
            if let Some(end) = scan.find_end(&input[..end], rules).map_err(status)? {
                let mut head = RequestHead::default();
                scan.parse(input, end, rules, &mut head).map_err(status)?;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn refused(input: &str) -> Option<u16> {
        head(input.as_bytes()).err()
    }

    #[test]
    fn a_head_is_method_target_version_and_fields() {
        let head = head(b"\r\nGET /a/b?c=d HTTP/1.1\r\nHost: a\r\nX:\t y z \r\nE:\r\n\r\nrest")
            .expect("valid")
            .expect("whole");
        assert_eq!((head.method(), head.target()), ("GET", "/a/b?c=d"));
        assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d")));
        assert_eq!(head.version, Version::Http11);
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("Host", &b"a"[..]), ("X", b"y z"), ("E", b"")]);
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in [
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "get / HTTP/1.1\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\n A: b\r\n\r\n",
            "GET / HTTP/1.1\r\nA\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(refused(bad), Some(400), "{bad:?}");
        }
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), Some(505));
    }

    #[test]
    fn limits_are_known_before_the_end() {
        assert_eq!(refused(&format!("GET /{}", "a".repeat(38))), Some(414));
        assert_eq!(refused(&"A".repeat(20)), None);
        assert_eq!(refused(&"A".repeat(22)), Some(400));
        assert_eq!(refused(&"A".repeat(100)), Some(400));
        let line = "GET / HTTP/1.1\r\n";
        assert_eq!(refused(&format!("{line}{}", "a".repeat(33))), Some(431));
        assert_eq!(refused(&format!("{line}{}", "a: b\r\n".repeat(3))), None);
        assert_eq!(
            refused(&format!("{line}{}", "a: b\r\n".repeat(4))),
            Some(431)
        );
    }

    #[test]
    fn what_is_permitted_is_read() {
        let mut rules = rules();
        rules.leniency = HeadLeniency {
            folding: true,
            field_spaces: true,
            any_method: true,
            casefold: true,
            any_version: true,
        };
        let folded = b"go! / HTTP/2.0\r\nA : b\r\n c\r\n d\r\nE: f\r\nG: h\r\n\r\n";
        let head = head_by(&rules, folded).expect("valid").expect("whole");
        assert_eq!(
            (head.method(), head.version),
            ("GO!", Version::Http11),
            "{head:?}"
        );
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [("A", &b"b c d"[..]), ("E", b"f"), ("G", b"h")]);
        for bad in [
            &b"GET / HTTP/1.1\r\n A: b\r\n\r\n"[..],
            b"G(T / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        ] {
            assert_eq!(head_by(&rules, bad).err(), Some(400));
        }
        let long = |method: &str| head_by(&rules, format!("{method} /{method}").as_bytes()).err();
        assert_eq!(long(&"A".repeat(30)), Some(414));
        assert_eq!(long(&"A".repeat(50)), Some(400));
        let four = b"GET / HTTP/1.1\r\nA: b\r\n c\r\nD:\r\nE:\r\nF:\r\n";
        assert_eq!(head_by(&rules, four).err(), Some(431));
    }
}
