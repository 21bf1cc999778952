//! The format of an access line, parsed once into parts.
//!
//! It is a Python format over a mapping, as gunicorn has it: `%(NAME)s` with an optional flag,
//! width and precision, and `%%`. A name that means nothing is rendered as `-`.

use std::fmt;

/// A format that is ready to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFormat {
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Atom(Atom),
    Padded(Atom, Padding),
}

/// What one name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Atom {
    PeerAddress,
    PeerPort,
    User,
    Date,
    RequestLine,
    Status,
    Method,
    Target,
    Path,
    Query,
    Protocol,
    Scheme,
    BodyBytes,
    Seconds,
    Milliseconds,
    Microseconds,
    DecimalSeconds,
    Pid,
    Constant(&'static str),
    /// The last request field of that name.
    RequestField(String),
    /// All request fields of that name with commas between them, as in a WSGI environment.
    JoinedRequestField(String),
    /// A variable of the WSGI environment that only the application knows, in lower case.
    Variable(String),
    /// The last response field of that name.
    ResponseField(String),
}

/// What stands between `)` and the conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Padding {
    pub(super) left: bool,
    pub(super) fill: u8,
    /// In characters.
    pub(super) width: usize,
    pub(super) most: Option<usize>,
}

/// The text is no format: what it has to be, and where it is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AccessFormatError {
    rest: String,
    position: usize,
}

impl fmt::Display for AccessFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rest, position } = self;
        let expected = "atoms such as %(h)s, and %% for a percent sign";
        write!(f, "{expected}, but character {position} begins {rest:?}")
    }
}

impl AccessFormat {
    pub fn parse(text: &str) -> Result<Self, AccessFormatError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            push_text(&mut parts, &rest[..at]);
            let after = &rest[at + 1..];
            rest = match after.strip_prefix('%') {
                Some(after) => {
                    push_text(&mut parts, "%");
                    after
                }
                None => {
                    let (part, after) = atom(after).ok_or_else(|| {
                        let wrong = &rest[at..];
                        let start = text.len() - wrong.len();
                        AccessFormatError {
                            rest: wrong.chars().take(8).collect(),
                            position: text[..start].chars().count() + 1,
                        }
                    })?;
                    parts.push(part);
                    after
                }
            };
        }
        push_text(&mut parts, rest);
        Ok(Self { parts })
    }
}

impl AccessFormat {
    /// The variables of the WSGI environment that it takes an application to know, in lower case.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Atom(Atom::Variable(name)) | Part::Padded(Atom::Variable(name), _) => {
                Some(name.as_str())
            }
            _ => None,
        })
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// Reads `(NAME)`, padding and conversion; the rest is returned.
fn atom(text: &str) -> Option<(Part, &str)> {
    let text = text.strip_prefix('(')?;
    let mut depth = 1;
    let end = text.bytes().position(|byte| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth == 0
    })?;
    let (name, spec) = (&text[..end], &text[end + 1..]);
    let (flags, spec) = split_while(spec, |c| "-+ #0".contains(c));
    let (width, spec) = split_while(spec, |c| c.is_ascii_digit());
    let (most, spec) = match spec.strip_prefix('.') {
        Some(spec) => {
            let (most, spec) = split_while(spec, |c| c.is_ascii_digit());
            (Some(small(most)?), spec)
        }
        None => (None, spec),
    };
    let conversion = spec.chars().next().filter(|c| "sdiu".contains(*c))?;
    let left = flags.contains('-');
    let zeros = flags.contains('0') && !left && conversion != 's';
    let padding = Padding {
        left,
        fill: if zeros { b'0' } else { b' ' },
        width: small(width)?,
        most: most.filter(|_| conversion == 's'),
    };
    let atom = Atom::named(name);
    let part = match padding {
        Padding {
            width: 0,
            most: None,
            ..
        } => Part::Atom(atom),
        _ => Part::Padded(atom, padding),
    };
    Some((part, &spec[1..]))
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A width that is a typing error is not to fill the disk.
fn small(digits: &str) -> Option<usize> {
    match digits {
        "" => Some(0),
        _ => digits.parse().ok().filter(|&number| number <= 4096),
    }
}

impl Atom {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "h" => Self::PeerAddress,
            "u" => Self::User,
            "t" => Self::Date,
            "r" => Self::RequestLine,
            "s" => Self::Status,
            "m" => Self::Method,
            "U" => Self::Path,
            "q" => Self::Query,
            "H" => Self::Protocol,
            "b" | "B" => Self::BodyBytes,
            "f" => Self::JoinedRequestField("referer".to_owned()),
            "a" => Self::JoinedRequestField("user-agent".to_owned()),
            "T" => Self::Seconds,
            "M" => Self::Milliseconds,
            "D" => Self::Microseconds,
            "L" => Self::DecimalSeconds,
            "p" => Self::Pid,
            _ => Self::braced(name).unwrap_or(Self::Constant("-")),
        }
    }

    /// `{name}i`, `{name}o` and `{name}e`, in any case.
    fn braced(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (name, kind) = name.strip_prefix('{')?.rsplit_once('}')?;
        match kind {
            "i" => Some(Self::RequestField(name.to_owned())),
            "o" => Some(Self::ResponseField(name.to_owned())),
            "e" => Self::environment(name).or_else(|| Some(Self::Variable(name.to_owned()))),
            _ => None,
        }
    }

    /// A variable of the WSGI environment (PEP 3333), as far as the server itself knows it.
    pub(super) fn environment(name: &str) -> Option<Self> {
        Some(match name {
            "request_method" => Self::Method,
            "raw_uri" => Self::Target,
            "path_info" => Self::Path,
            "query_string" => Self::Query,
            "server_protocol" => Self::Protocol,
            "remote_addr" => Self::PeerAddress,
            "remote_port" => Self::PeerPort,
            "script_name" => Self::Constant(""),
            "server_software" => Self::Constant(concat!("oxicorn/", env!("CARGO_PKG_VERSION"))),
            "wsgi.url_scheme" => Self::Scheme,
            "content_type" => Self::RequestField("content-type".to_owned()),
            "content_length" => Self::RequestField("content-length".to_owned()),
            _ => Self::JoinedRequestField(name.strip_prefix("http_")?.replace('_', "-")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        AccessFormat::parse(text).expect("a format").parts
    }

    #[test]
    fn text_and_atoms_alternate() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parts("100%% %(s)s%({X-Id}i)s ü"),
            [
                text("100% "),
                Part::Atom(Atom::Status),
                Part::Atom(Atom::RequestField("x-id".to_owned())),
                text(" ü"),
            ]
        );
        assert_eq!(parts(""), []);
    }

    #[test]
    fn unknown_names_are_dashes() {
        let dash = Part::Atom(Atom::Constant("-"));
        for name in ["l", "S", "", "zz", "{x}", "{x}z", "a(b)c"] {
            assert_eq!(parts(&format!("%({name})s")), std::slice::from_ref(&dash));
        }
    }

    #[test]
    fn padding_is_pythons() {
        let padding = |text: &str| match parts(text).as_slice() {
            [Part::Padded(_, padding)] => *padding,
            other => panic!("{other:?}"),
        };
        let plain = Padding {
            left: false,
            fill: b' ',
            width: 5,
            most: None,
        };
        assert_eq!(padding("%(s)5s"), plain);
        assert_eq!(
            padding("%(s)-5s"),
            Padding {
                left: true,
                ..plain
            }
        );
        assert_eq!(
            padding("%(T)05d"),
            Padding {
                fill: b'0',
                ..plain
            }
        );
        let most = Some(3);
        assert_eq!(padding("%(s)5.3s"), Padding { most, ..plain });
    }

    #[test]
    fn what_is_no_format_is_shown() {
        for (text, rest, position) in [
            ("%h %l", "%h %l", 1),
            ("ü %(h", "%(h", 3),
            ("%(h)s %", "%", 7),
            ("%(h)q and more", "%(h)q an", 1),
            ("%(h)99999s", "%(h)9999", 1),
        ] {
            let error = AccessFormat::parse(text).expect_err(text);
            assert_eq!((error.rest.as_str(), error.position), (rest, position));
        }
    }
}
