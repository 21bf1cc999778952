//! Access lines that are JSON (RFC 8259). They are recognised by their format: what clients say in them
//! gets the escapes of JSON, and what stands outside of quotation marks gets some where it needs them.

use serde_json::value::RawValue;

use super::access_format::{Atom, Part, Value};

/// The parts of a format that makes an object of JSON, whatever the values; `None` where it does not.
/// Arrays would be those that begin with a date in brackets.
pub(super) fn become_json(parts: &[Part]) -> Option<Vec<Part>> {
    let Some(Part::Text(first)) = parts.first() else {
        return None;
    };
    if !first.trim_start().starts_with('{') {
        return None;
    }
    let (mut place, mut sample) = (Place::Outside, String::new());
    let mut strict = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Text(text) => {
                sample.push_str(text);
                place = place.after(text);
                strict.push(part.clone());
            }
            Part::Value(value) => {
                // A digit is a value, and goes into a string as well.
                sample.push('0');
                match place {
                    Place::Outside => put_outside(&mut strict, value),
                    _ => strict.push(part.clone()),
                }
            }
        }
    }
    let is_json = serde_json::from_str::<&RawValue>(&sample).is_ok();
    is_json.then_some(strict)
}

/// Where a format stands, by its text so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    InString,
    /// After a backslash in a string.
    Escaped,
}

impl Place {
    fn after(self, text: &str) -> Self {
        text.bytes().fold(self, |place, byte| match (place, byte) {
            (Self::Outside, b'"') => Self::InString,
            (Self::InString, b'"') => Self::Outside,
            (Self::InString, b'\\') => Self::Escaped,
            (Self::Escaped, _) => Self::InString,
            (place, _) => place,
        })
    }
}

/// Adds a value that stands alone: a number as it is, anything else as a string.
fn put_outside(parts: &mut Vec<Part>, value: &Value) {
    if is_number(&value.atom) && value.padding.most.is_none() {
        let mut number = value.clone();
        // No number of JSON begins with a zero.
        number.padding.zeros = false;
        return parts.push(Part::Value(number));
    }
    let mark = || Part::Text("\"".to_owned());
    parts.extend([mark(), Part::Value(value.clone()), mark()]);
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
    )
}

#[cfg(test)]
mod tests {
    use super::super::access_format::AccessFormat;
    use super::super::escape::Escape;

    fn python(text: &str) -> (String, Escape) {
        let format = AccessFormat::parse(text).expect("a format");
        (format.python(), format.escape)
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
