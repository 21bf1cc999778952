//! Reads JSON bodies and query strings field by field, so that the response can list every error. Unknown fields are
//! ignored.

use std::str::FromStr;

use garde::Validate;
use oxicorn_common::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::model::{JsonFields, StoredJson, check, fields, scalar};
use super::problem::{FieldProblem, Problem};

/// The problem of a text with U+0000, which PostgreSQL cannot store.
const ZERO: &str = "has the character U+0000";

/// The fields of a body or a query, and the errors of those read so far.
#[derive(Debug)]
pub(crate) struct RequestInput {
    what: &'static str,
    fields: JsonFields,
    problems: Vec<FieldProblem>,
}

impl RequestInput {
    /// These fields of the body, which must be a JSON object.
    pub(crate) fn from_body(request: &mut Request, names: &[&str]) -> Result<Self, Problem> {
        let coding = request.field("content-encoding").unwrap_or_default();
        if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
            return Err(Problem::Coding);
        }
        if !is_json(request.field("content-type").unwrap_or_default()) {
            return Err(Problem::MediaType);
        }
        let body = request
            .body
            .read_all()
            .map_err(|error| Problem::Internal(error.into()))?;
        check(&body).map_err(Problem::Json)?;
        let mut input = Self::new("the body");
        let Some(fields) = fields(&body, names).map_err(Problem::Json)? else {
            input.refuse("", "must be a JSON object");
            return input.finish(None);
        };
        input.fields = fields;
        Ok(input)
    }

    /// These fields of the query string. The last of several values counts.
    pub(crate) fn from_query(request: &Request, names: &[&str]) -> Self {
        let mut input = Self::new("the query");
        let query = request.query().unwrap_or_default().as_bytes();
        for (name, value) in form_urlencoded::parse(query) {
            if value.is_empty() || !names.contains(&&*name) {
                continue;
            }
            if value.contains('\0') {
                input.refuse(&name, ZERO);
            }
            // A text can always be written down.
            if let Ok(raw) = to_raw_value(&value) {
                input.fields.insert(name.into_owned(), raw);
            }
        }
        input
    }

    fn new(what: &'static str) -> Self {
        Self {
            what,
            fields: JsonFields::new(),
            problems: Vec::new(),
        }
    }

    /// A required field.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        self.demand(name);
        self.optional(name)
    }

    /// A required field of text.
    pub(crate) fn required_text(&mut self, name: &str) -> Option<String> {
        self.demand(name);
        self.text(name)
    }

    /// A required field with an integer.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        self.demand(name);
        self.take(name, |value| value.as_i64().ok_or("must be an integer"))
    }

    /// A field of text that may be absent or null.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| match value {
            Value::String(text) if text.contains('\0') => Err(ZERO),
            Value::String(text) => Ok(text),
            _ => Err("must be a text"),
        })
    }

    /// A field that holds an object, or may be absent or null.
    pub(crate) fn object(&mut self, name: &str) -> Option<StoredJson> {
        let raw = self.fields.remove(name).filter(|raw| raw.get() != "null")?;
        let object = StoredJson::object(raw);
        if object.is_none() {
            self.refuse(name, "must be a JSON object");
        }
        object
    }

    /// A field that holds a scalar, or may be absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.remove(name)?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, &error.to_string());
                None
            }
        }
    }

    /// A number of a query, within bounds.
    pub(crate) fn number<T>(&mut self, name: &str, bounds: std::ops::RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let text: String = self.optional(name)?;
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.refuse(name, &format!("must be a number from {least} to {most}"));
        }
        number
    }

    /// The value, if no field had an error. `None` is a field that was refused.
    pub(crate) fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.problems.is_empty() => Ok(read),
            _ => Err(Problem::Invalid(self.what, self.problems)),
        }
    }

    /// As [`RequestInput::finish`], for a value with rules of its own.
    pub(crate) fn finish_valid<T>(mut self, read: Option<T>) -> Result<T, Problem>
    where
        T: Validate<Context = ()>,
    {
        if let Some(Err(report)) = read.as_ref().map(Validate::validate) {
            for (path, error) in report.iter() {
                self.refuse(&camel_case(&path.to_string()), error.message());
            }
        }
        self.finish(read)
    }

    fn demand(&mut self, name: &str) {
        if self.fields.get(name).is_none_or(|raw| raw.get() == "null") {
            self.refuse(name, "is missing");
        }
    }

    /// A scalar, or for anything else a list without items.
    fn remove(&mut self, name: &str) -> Option<Value> {
        let raw = self.fields.remove(name)?;
        // It was parsed before.
        let value: Value = serde_json::from_str(scalar(&raw)).ok()?;
        Some(value).filter(|value| !value.is_null())
    }

    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, &'static str>,
    ) -> Option<T> {
        match read(self.remove(name)?) {
            Ok(read) => Some(read),
            Err(rule) => {
                self.refuse(name, rule);
                None
            }
        }
    }

    fn refuse(&mut self, field: &str, problem: &str) {
        self.problems.push(FieldProblem {
            field: field.to_owned(),
            problem: problem.to_owned(),
        });
    }
}

/// `application/json` or a type that ends in `+json`, whatever its parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next();
    let essence = essence
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

/// The outside name of a field: `full_name` is `fullName` in JSON.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            camel.extend(character.to_uppercase());
        } else {
            camel.push(character);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<serde_json::value::RawValue> {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn json_has_many_names() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/a+json",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/jsonp",
            "text/plain; application/json",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn everything_wrong_is_listed() {
        let mut input = RequestInput::new("the body");
        input.fields.insert("a".to_owned(), raw("\"x\""));
        let a: Option<u32> = input.optional("a");
        let b: Option<u32> = input.required("b");
        match input.finish(a.zip(b)) {
            Err(Problem::Invalid(_, problems)) => {
                let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
                assert_eq!(fields, ["a", "b"]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(camel_case("full_name"), "fullName");
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let mut input = RequestInput::new("the body");
        for name in ["a", "b", "c"] {
            input.fields.insert(name.to_owned(), raw("null"));
        }
        let required: Option<u32> = input.required("a");
        assert_eq!(
            (required, input.text("b"), input.object("c")),
            (None, None, None)
        );
        assert_eq!(input.problems.len(), 1);
        assert_eq!(input.problems[0].problem, "is missing");
    }
}
