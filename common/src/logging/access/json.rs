//! Access lines that are JSON (RFC 8259), recognised by their format. Values in them are escaped as JSON asks, and a
//! value that the format does not quote is quoted, unless it is a number.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::atom::Atom;
use super::format_part::{Directive, FormatPart};

/// The parts of a format whose lines are JSON objects, whatever the values; `None` for another format.
/// Arrays are not considered: a line that begins with a date in brackets would look like one.
pub(super) fn become_json(parts: &[FormatPart]) -> Option<Vec<FormatPart>> {
    let Some(FormatPart::Text(first)) = parts.first() else {
        return None;
    };
    if !first.trim_start().starts_with('{') {
        return None;
    }
    let (mut position, mut sample) = (JsonPosition::Outside, String::new());
    let mut strict = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            FormatPart::Text(text) => {
                sample.push_str(text);
                position = position.after(text);
                strict.push(part.clone());
            }
            FormatPart::Directive(directive) => {
                // A digit is a value, and goes into a string as well.
                sample.push('0');
                match position {
                    JsonPosition::Outside => put_outside(&mut strict, directive),
                    _ => strict.push(part.clone()),
                }
            }
        }
    }
    let is_json = serde_json::from_str::<&RawValue>(&sample).is_ok();
    is_json.then_some(strict)
}

/// The first name that two members of the object have.
pub(super) fn repeated_member(parts: &[FormatPart]) -> Option<String> {
    let sample: String = parts
        .iter()
        .map(|part| match part {
            FormatPart::Text(text) => text,
            FormatPart::Directive(_) => "0",
        })
        .collect();
    let Members(names) = serde_json::from_str(&sample).ok()?;
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(name.clone()))
}

/// The names of an object's members, repeated ones too.
struct Members(Vec<String>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MemberNames)
    }
}

struct MemberNames;

impl<'de> Visitor<'de> for MemberNames {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.push(name);
        }
        Ok(Members(names))
    }
}

/// Where in JSON a format is, by its text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonPosition {
    Outside,
    InString,
    /// After a backslash in a string.
    Escaped,
}

impl JsonPosition {
    fn after(self, text: &str) -> Self {
        text.bytes()
            .fold(self, |position, byte| match (position, byte) {
                (Self::Outside, b'"') => Self::InString,
                (Self::InString, b'"') => Self::Outside,
                (Self::InString, b'\\') => Self::Escaped,
                (Self::Escaped, _) => Self::InString,
                (position, _) => position,
            })
    }
}

/// Adds a value outside of a string: a number as it is, anything else as a string.
fn put_outside(parts: &mut Vec<FormatPart>, directive: &Directive) {
    if is_number(&directive.atom) && directive.padding.most.is_none() {
        let mut number = directive.clone();
        // No number of JSON begins with a zero.
        number.padding.zeros = false;
        return parts.push(FormatPart::Directive(number));
    }
    let mark = || FormatPart::Text("\"".to_owned());
    parts.extend([mark(), FormatPart::Directive(directive.clone()), mark()]);
}

/// Whether an atom is a number of JSON, whatever the request.
fn is_number(atom: &Atom) -> bool {
    matches!(
        atom,
        Atom::Status
            | Atom::BodyBytes
            | Atom::Seconds
            | Atom::Milliseconds
            | Atom::Microseconds
            | Atom::DecimalSeconds
            | Atom::QueueSeconds
            | Atom::ApplicationSeconds
            | Atom::SendSeconds
            | Atom::Age
            | Atom::Generation
    )
}

#[cfg(test)]
mod tests {
    use super::super::format::AccessFormat;
    use crate::logging::escape::Escape;

    fn python(text: &str) -> (String, Escape) {
        let format = AccessFormat::parse(text).expect("a format");
        (format.python(), format.escape())
    }

    #[test]
    fn a_format_that_is_json_is_recognised() {
        for json in [
            r#"{"h":"%(h)s","line":"%(r)s %%","s":%(s)s,"all":["%(a)s"],"t":{"L":%(L)s,"M":%(M)5d}}"#,
            r#" { "all" : [ "%(h)s" , %(D)s ] } "#,
            r#"{"a\"%(a)s": "\\%(a)s\\"}"#,
            "{}",
        ] {
            assert_eq!(python(json), (json.to_owned(), Escape::Json));
        }
        for none in [
            r#"%(h)s {"a":"%(a)s"}"#,
            r#"[%(t)s] "%(r)s""#,
            r#"["%(r)s"]"#,
            "{%(h)s}",
            r#"{"a":"%(a)s""#,
            r#"{"a":"%(a)s"} and more"#,
            r#"{'a':'%(a)s'}"#,
            r#"{"a":"%(a)s",}"#,
            r#"{"a":"\%(a)s"}"#,
            "",
        ] {
            assert_eq!(python(none), (none.to_owned(), Escape::Line));
        }
    }

    #[test]
    fn values_outside_of_strings_are_json_too() {
        let (text, escape) =
            python(r#"{"u":%(u)s,"%(m)s":%(p)-9s,"s":%(s).2s,"t":%(T)03d,"b":%(B)-5d}"#);
        assert_eq!(
            text,
            r#"{"u":"%(u)s","%(m)s":"%(p)-9s","s":"%(s.2)s","t":%(T)3d,"b":%(B)-5d}"#
        );
        assert_eq!(escape, Escape::Json);
    }
}
