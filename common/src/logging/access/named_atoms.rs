//! All atoms of a request by name, for a logger of another language that formats the line itself.

use std::collections::HashMap;

use super::atom::Atom;
use super::entry::{AccessEntry, append_joined, whole};
use super::format::{AccessFormat, OBJECT};
use super::format_part::Padding;
use crate::logging::escape::Escape;

/// A number where gunicorn has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtomValue {
    Number(u64),
    Text(String),
}

/// Variables of the WSGI environment that the server itself knows, besides those of fields.
const VARIABLES: [&str; 12] = [
    "request_method",
    "raw_uri",
    "path_info",
    "query_string",
    "server_protocol",
    "remote_addr",
    "remote_port",
    "script_name",
    "server_software",
    "wsgi.url_scheme",
    "content_type",
    "content_length",
];

/// Gunicorn's names without braces.
const PLAIN: [&str; 19] = [
    "h", "l", "u", "t", "r", "s", "m", "U", "q", "H", "b", "B", "f", "a", "T", "D", "M", "L", "p",
];

/// Names of what gunicorn has no atom for.
const EXTRA: [&str; 10] = [
    "{proxy_queue}x",
    "{queue}x",
    "{application}x",
    "{send}x",
    "{timestamp}x",
    "{request_id}x",
    "{trace_id}x",
    "{span_id}x",
    "{age}x",
    "{generation}x",
];

impl AccessEntry<'_> {
    /// Calls `take` with each name, such as `h` or `{user-agent}i`, and its value, escaped for `format`. Of
    /// the variables of the WSGI environment it knows those that the server itself sets. A value that
    /// `format` cuts is also there in its cut form, under its name in [`AccessFormat::python`].
    pub fn atoms(&self, format: &AccessFormat, mut take: impl FnMut(&str, AtomValue)) {
        let escape = format.escape();
        for name in PLAIN {
            let value = match name {
                "B" => AtomValue::Number(self.body_bytes),
                "T" => AtomValue::Number(self.duration.as_secs()),
                "M" => AtomValue::Number(whole(self.duration.as_millis())),
                "D" => AtomValue::Number(whole(self.duration.as_micros())),
                _ => self.text(&Atom::named(name), escape),
            };
            take(name, value);
        }
        self.request_fields(escape, &mut take);
        for (name, value) in self.variables {
            let value = AtomValue::Text(escape.text(value));
            take(&format!("{{{name}}}e"), value);
        }
        for variable in VARIABLES {
            if let Some(atom) = Atom::environment(variable) {
                take(&format!("{{{variable}}}e"), self.text(&atom, escape));
            }
        }
        if let Some(field) = self.id_field {
            let field = Atom::ResponseField(field.to_owned());
            take(&self.id_name(), self.text(&field, escape));
        }
        for (name, value) in self.fields {
            let name = name.to_ascii_lowercase();
            let write = |out: &mut Vec<u8>| escape.append_bytes(out, value);
            take(&format!("{{{name}}}o"), written(write));
        }
        for name in EXTRA {
            take(name, self.text(&Atom::named(name), escape));
        }
        if format.is_object() {
            take(OBJECT, self.text(&Atom::Object, escape));
        }
        for directive in format.directives().filter(|it| it.padding.most.is_some()) {
            let cut = Padding {
                most: directive.padding.most,
                ..Padding::default()
            };
            let write = |out: &mut Vec<u8>| {
                self.append(out, &directive.atom, escape);
                cut.apply(out, 0);
            };
            take(&directive.key(), written(write));
        }
    }

    /// The fields of the request, those of one name together: there may be thousands.
    fn request_fields(&self, escape: Escape, take: &mut impl FnMut(&str, AtomValue)) {
        let mut fields: HashMap<String, Vec<&[u8]>> = HashMap::new();
        for (name, value) in self.head.fields() {
            let name = name.to_ascii_lowercase();
            fields.entry(name).or_default().push(value);
        }
        for (name, values) in fields {
            let last = values.last().copied().unwrap_or_default();
            let write = |out: &mut Vec<u8>| escape.append_bytes(out, last);
            take(&format!("{{{name}}}i"), written(write));
            let variable = format!("{{http_{}}}e", name.replace('-', "_"));
            let write = |out: &mut Vec<u8>| append_joined(out, values, escape);
            take(&variable, written(write));
        }
    }

    fn id_name(&self) -> String {
        let field = self.id_field.unwrap_or_default();
        format!("{{{}}}o", field.to_ascii_lowercase())
    }

    fn text(&self, atom: &Atom, escape: Escape) -> AtomValue {
        written(|out| self.append(out, atom, escape))
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> AtomValue {
    let mut text = Vec::new();
    write(&mut text);
    AtomValue::Text(String::from_utf8_lossy(&text).into_owned())
}
