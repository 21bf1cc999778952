//! All atoms of a request by their names, for a logger that wants them one by one.

use super::AccessEntry;
use super::access_format::Atom;

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

impl AccessEntry<'_> {
    /// Calls `take` with each name, such as `h` or `{user-agent}i`, and its value. Of the variables of
    /// the WSGI environment there are those that the server itself knows.
    pub fn atoms(&self, mut take: impl FnMut(&str, AtomValue)) {
        for name in PLAIN {
            let value = match name {
                "B" => AtomValue::Number(self.body_bytes),
                "T" => AtomValue::Number(self.duration.as_secs()),
                "M" => AtomValue::Number(whole(self.duration.as_millis())),
                "D" => AtomValue::Number(whole(self.duration.as_micros())),
                _ => self.text(&Atom::named(name)),
            };
            take(name, value);
        }
        for (name, _) in self.head.fields() {
            let name = name.to_ascii_lowercase();
            let value = self.text(&Atom::RequestField(name.clone()));
            take(&format!("{{{name}}}i"), value);
            let variable = format!("http_{}", name.replace('-', "_"));
            self.take_variable(&variable, &mut take);
        }
        for (name, value) in self.variables {
            take(&format!("{{{name}}}e"), AtomValue::Text(value.clone()));
        }
        for variable in VARIABLES {
            self.take_variable(variable, &mut take);
        }
        for (name, _) in self.fields {
            let name = name.to_ascii_lowercase();
            let value = self.text(&Atom::ResponseField(name.clone()));
            take(&format!("{{{name}}}o"), value);
        }
    }

    fn take_variable(&self, name: &str, take: &mut impl FnMut(&str, AtomValue)) {
        if let Some(atom) = Atom::environment(name) {
            take(&format!("{{{name}}}e"), self.text(&atom));
        }
    }

    fn text(&self, atom: &Atom) -> AtomValue {
        let mut text = Vec::new();
        self.append(&mut text, atom);
        AtomValue::Text(String::from_utf8_lossy(&text).into_owned())
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
