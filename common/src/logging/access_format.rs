//! The format of an access line, parsed once into parts.
//!
//! It is a Python format over a mapping, as gunicorn has it: `%(NAME)s` with an optional flag,
//! width and precision, and `%%`. A name that means nothing is rendered as `-`. A format that is
//! shaped like JSON makes lines that are JSON.

use std::fmt::{self, Write};

use super::access_json;
use super::escape::Escape;

use crate::SERVER_SOFTWARE;

/// A format that is ready to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFormat {
    pub(super) parts: Vec<Part>,
    /// How values are written in it.
    pub(super) escape: Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Value(Value),
}

/// An atom as the format wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) atom: Atom,
    /// As it is written in the format.
    pub(super) name: String,
    pub(super) padding: Padding,
    /// One of `sdiu`.
    pub(super) conversion: char,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Padding {
    pub(super) left: bool,
    /// With zeros instead of spaces.
    pub(super) zeros: bool,
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
        Ok(match access_json::become_json(&parts) {
            Some(parts) => Self {
                parts,
                escape: Escape::Json,
            },
            None => Self {
                parts,
                escape: Escape::Line,
            },
        })
    }

    /// How the values in its lines are escaped.
    pub fn escape(&self) -> Escape {
        self.escape
    }

    /// The same format for Python's `%`, over a mapping of [`super::AccessEntry::atoms`]. Python
    /// would cut an escape in two: what has a precision has an atom of its own.
    pub fn python(&self) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(&text.replace('%', "%%")),
                // Writing into memory cannot fail.
                Part::Value(value) => drop(write!(out, "{value}")),
            }
        }
        out
    }

    /// The variables of the WSGI environment that it takes an application to know, in lower case.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.values().filter_map(|value| match &value.atom {
            Atom::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value(value) => Some(value),
            Part::Text(_) => None,
        })
    }
}

impl Value {
    /// What Python finds its text by.
    pub(super) fn key(&self) -> String {
        match self.padding.most {
            Some(most) => format!("{}.{most}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for Value {
    /// As in the format, but that the text is cut already.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Padding {
            left, zeros, width, ..
        } = self.padding;
        write!(f, "%({})", self.key())?;
        for (flag, is_set) in [('-', left), ('0', zeros)] {
            if is_set {
                f.write_char(flag)?;
            }
        }
        if width > 0 {
            write!(f, "{width}")?;
        }
        f.write_char(self.conversion)
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
    let padding = Padding {
        left,
        zeros: flags.contains('0') && !left && conversion != 's',
        width: small(width)?,
        most: most.filter(|_| conversion == 's'),
    };
    let value = Value {
        atom: Atom::named(name),
        name: name.to_owned(),
        padding,
        conversion,
    };
    Some((Part::Value(value), &spec[1..]))
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
            "server_software" => Self::Constant(SERVER_SOFTWARE),
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

    fn plain(atom: Atom, name: &str) -> Part {
        Part::Value(Value {
            atom,
            name: name.to_owned(),
            padding: Padding::default(),
            conversion: 's',
        })
    }

    #[test]
    fn text_and_atoms_alternate() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parts("100%% %(s)s%({X-Id}i)s ü"),
            [
                text("100% "),
                plain(Atom::Status, "s"),
                plain(Atom::RequestField("x-id".to_owned()), "{X-Id}i"),
                text(" ü"),
            ]
        );
        assert_eq!(parts(""), []);
    }

    #[test]
    fn unknown_names_are_dashes() {
        for name in ["l", "S", "", "zz", "{x}", "{x}z", "a(b)c"] {
            let dash = plain(Atom::Constant("-"), name);
            assert_eq!(parts(&format!("%({name})s")), [dash]);
        }
    }

    #[test]
    fn padding_is_pythons() {
        let padding = |text: &str| match parts(text).as_slice() {
            [Part::Value(value)] => value.padding,
            other => panic!("{other:?}"),
        };
        let plain = Padding {
            width: 5,
            ..Padding::default()
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
                zeros: true,
                ..plain
            }
        );
        let most = Some(3);
        assert_eq!(padding("%(s)5.3s"), Padding { most, ..plain });
    }

    #[test]
    fn python_has_the_same_format() {
        for text in ["100%% %(s)s%({X-Id}i)-9s ü", "%(T)05d %(D)7i", ""] {
            let format = AccessFormat::parse(text).expect("a format");
            assert_eq!(format.python(), text);
        }
        let cut = AccessFormat::parse("%(a)-9.20s %({x}i).3s").expect("a format");
        assert_eq!(cut.python(), "%(a.20)-9s %({x}i.3)s");
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
