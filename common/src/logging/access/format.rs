//! The format of an access line, parsed once into parts.
//!
//! It is a Python format over a mapping, as gunicorn has it: `%(NAME)s` with an optional flag, width and
//! precision, and `%%`. An unknown name is rendered as `-`. A format that has the shape of a JSON object makes
//! lines that are JSON.

use std::fmt::{self, Write};

use super::atom::Atom;
use super::entry::AccessEntry;
use super::format_part::{Directive, FormatPart, Padding};
use super::json;
use crate::logging::escape::Escape;

/// A format that is ready to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFormat {
    parts: Vec<FormatPart>,
    /// How values are written in it.
    escape: Escape,
}

/// The text is not a format. Says what is expected, and where the text differs.
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

/// The name of the server's own object among Python's atoms.
pub(super) const OBJECT: &str = "{object}x";

impl AccessFormat {
    /// The usual format.
    pub const DEFAULT: &'static str =
        r#"%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;

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
                    let (directive, after) = Directive::read(after).ok_or_else(|| {
                        let wrong = &rest[at..];
                        let start = text.len() - wrong.len();
                        AccessFormatError {
                            rest: wrong.chars().take(8).collect(),
                            position: text[..start].chars().count() + 1,
                        }
                    })?;
                    parts.push(FormatPart::Directive(directive));
                    after
                }
            };
        }
        push_text(&mut parts, rest);
        Ok(match json::become_json(&parts) {
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

    /// Lines that are JSON: those of `text` if it makes such lines, or the server's own object in place of the usual
    /// format. `None` if lines of `text` are no JSON.
    pub fn json(text: &str) -> Result<Option<Self>, AccessFormatError> {
        if text == Self::DEFAULT {
            let directive = Directive {
                atom: Atom::Object,
                name: OBJECT.to_owned(),
                padding: Padding::default(),
                conversion: 's',
            };
            return Ok(Some(Self {
                parts: vec![FormatPart::Directive(directive)],
                escape: Escape::Json,
            }));
        }
        let format = Self::parse(text)?;
        Ok(Some(format).filter(|it| it.escape == Escape::Json))
    }

    /// What is probably a mistake in a format that makes JSON: a name that is no atom, and members of the same name.
    pub fn doubts(&self) -> Vec<String> {
        if self.escape != Escape::Json {
            // gunicorn says nothing either.
            return Vec::new();
        }
        let is_unknown = |it: &&Directive| it.atom == Atom::Constant("-") && it.name != "l";
        let unknown = self.directives().filter(is_unknown);
        let unknown = unknown.map(|it| format!("%({})s is no atom, and always -", it.name));
        let repeated = json::repeated_member(&self.parts);
        let repeated = repeated.map(|name| format!("the member {name:?} is there twice"));
        unknown.chain(repeated).collect()
    }

    /// Whether lines are the server's own object.
    pub fn is_object(&self) -> bool {
        self.directives().any(|it| it.atom == Atom::Object)
    }

    /// Appends the line of `entry`, including the line feed.
    pub fn render(&self, out: &mut Vec<u8>, entry: &AccessEntry<'_>) {
        for part in &self.parts {
            match part {
                FormatPart::Text(text) => out.extend_from_slice(text.as_bytes()),
                FormatPart::Directive(directive) => {
                    let start = out.len();
                    entry.append(out, &directive.atom, self.escape);
                    directive.padding.apply(out, start);
                }
            }
        }
        out.push(b'\n');
    }

    /// How the values in its lines are escaped.
    pub fn escape(&self) -> Escape {
        self.escape
    }

    /// The same format for Python's `%` operator, over a mapping of [`AccessEntry::atoms`]. Python would cut
    /// an escape sequence in two; therefore a directive with a precision has an atom of its own there.
    pub fn python(&self) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                FormatPart::Text(text) => out.push_str(&text.replace('%', "%%")),
                // Writing into memory cannot fail.
                FormatPart::Directive(directive) => drop(write!(out, "{directive}")),
            }
        }
        out
    }

    /// The variables of the WSGI environment that only the application knows, in lower case.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.directives()
            .filter_map(|directive| match &directive.atom {
                Atom::Variable(name) => Some(name.as_str()),
                _ => None,
            })
    }

    pub(super) fn directives(&self) -> impl Iterator<Item = &Directive> {
        self.parts.iter().filter_map(|part| match part {
            FormatPart::Directive(directive) => Some(directive),
            FormatPart::Text(_) => None,
        })
    }
}

fn push_text(parts: &mut Vec<FormatPart>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(FormatPart::Text(before)) => before.push_str(text),
        _ => parts.push(FormatPart::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<FormatPart> {
        AccessFormat::parse(text).expect("a format").parts
    }

    fn plain(atom: Atom, name: &str) -> FormatPart {
        FormatPart::Directive(Directive {
            atom,
            name: name.to_owned(),
            padding: Padding::default(),
            conversion: 's',
        })
    }

    #[test]
    fn text_and_atoms_alternate() {
        let text = |text: &str| FormatPart::Text(text.to_owned());
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
    fn a_probable_mistake_is_named() {
        let doubts = |text| {
            AccessFormat::parse(text)
                .expect("a format")
                .doubts()
                .join("; ")
        };
        assert_eq!(
            doubts(r#"{"a": %(r)s, "l": "%(l)s", "b": {"a": %({queue}x)s}}"#),
            ""
        );
        assert_eq!(
            doubts(r#"{"a": %(r)s, "b": %({line}x)s, "a": "%(q)s"}"#),
            "%({line}x)s is no atom, and always -; the member \"a\" is there twice"
        );
        assert_eq!(doubts("%(nope)s"), "");
    }

    #[test]
    fn padding_is_pythons() {
        let padding = |text: &str| match parts(text).as_slice() {
            [FormatPart::Directive(directive)] => directive.padding,
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
