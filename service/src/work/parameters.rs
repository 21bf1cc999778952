//! Reads the `parameters` of a task by name. An error names the parameter.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::WorkError;
use crate::model::{JsonFields, StoredJson, scalar};

/// The maximum length of a problem, in characters.
const MOST_CHARACTERS: usize = 300;

/// The parameters of all kinds of work; others are ignored.
const NAMES: [&str; 18] = [
    "columns", "content", "csv", "encoding", "filename", "fit", "format", "from", "height",
    "image", "limit", "numbers", "sha256", "status", "taskType", "to", "userId", "width",
];

pub(super) fn read(parameters: &StoredJson) -> Result<JsonFields, WorkError> {
    let fields = parameters.fields(&NAMES);
    let fields = fields.map_err(|error| WorkError::Parameters(format!("parameters: {error}")))?;
    Ok(fields.unwrap_or_default())
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a>(pub(super) &'a JsonFields);

impl<'a> Parameters<'a> {
    /// A parameter that may be absent or null.
    pub(super) fn optional<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, WorkError> {
        let Some(raw) = self.find(name) else {
            return Ok(None);
        };
        let read = serde_json::from_str(raw.get());
        read.map(Some)
            .map_err(|error| wrong(name, &error.to_string()))
    }

    pub(super) fn required<T: DeserializeOwned>(self, name: &str) -> Result<T, WorkError> {
        self.optional(name)?
            .ok_or_else(|| wrong(name, "is missing"))
    }

    /// As [`Parameters::optional`], for scalars: a list or an object is refused before it is built in memory.
    pub(super) fn scalar<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, WorkError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let read = serde_json::from_value(value);
        read.map(Some)
            .map_err(|error| wrong(name, &error.to_string()))
    }

    /// A whole number from 1 to `most`.
    pub(super) fn number(self, name: &str, most: u32) -> Result<Option<u32>, WorkError> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match number {
            Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(wrong(name, &format!("must be a number from 1 to {most}"))),
        }
    }

    pub(super) fn text(self, name: &str) -> Result<Option<String>, WorkError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "must be a text")),
        }
    }

    pub(super) fn required_text(self, name: &str) -> Result<String, WorkError> {
        self.text(name)?.ok_or_else(|| wrong(name, "is missing"))
    }

    fn find(self, name: &str) -> Option<&'a RawValue> {
        let raw = self.0.get(name).filter(|raw| raw.get() != "null")?;
        Some(raw)
    }

    fn value(self, name: &str) -> Option<Value> {
        // It was parsed before it was stored.
        serde_json::from_str(scalar(self.find(name)?)).ok()
    }

    /// Bytes in base64.
    pub(super) fn bytes(self, name: &str) -> Result<Vec<u8>, WorkError> {
        let text = self.required_text(name)?;
        STANDARD
            .decode(text)
            .map_err(|error| wrong(name, &format!("is not base64: {error}")))
    }
}

/// Cuts a long problem: it may quote what the client sent, and goes to the log, the task and exports.
pub(super) fn wrong(name: &str, problem: &str) -> WorkError {
    let cut = problem.char_indices().nth(MOST_CHARACTERS);
    let (kept, more) = cut.map_or((problem, ""), |(at, _)| (&problem[..at], "..."));
    WorkError::Parameters(format!("parameters.{name}: {kept}{more}"))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(parameters: Value) -> JsonFields {
        let stored = serde_json::from_value(parameters).expect("JSON");
        read(&stored).expect("an object")
    }

    #[test]
    fn numbers_have_bounds() {
        let fields_of = fields(json!({"limit": 1, "width": 9, "height": null}));
        let numbers = ["limit", "width", "height", "format"]
            .map(|name| Parameters(&fields_of).number(name, 9).ok());
        assert_eq!(
            numbers,
            [Some(Some(1)), Some(Some(9)), Some(None), Some(None)]
        );
        for bad in [
            json!(0),
            json!(10),
            json!(-1),
            json!(1.5),
            json!("1"),
            json!(1_u64 << 32),
            json!([1]),
        ] {
            let map = fields(json!({"limit": bad}));
            let error = Parameters(&map).number("limit", 9).expect_err("refused");
            assert_eq!(
                error.to_string(),
                "parameters.limit: must be a number from 1 to 9",
                "{bad}"
            );
        }
    }

    #[test]
    fn long_problems_are_cut() {
        let text = wrong("csv", &"ä".repeat(1_000_000)).to_string();
        assert_eq!(text.chars().count(), "parameters.csv: ".len() + 300 + 3);
    }
}
