//! The `parameters` of a task, read by name. What is wrong with one is an error that names it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::WorkError;

/// Characters of a problem that are kept.
const MOST_CHARACTERS: usize = 300;

#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Parameters<'a> {
    /// A parameter that may be absent or null.
    pub(super) fn optional<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, WorkError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| wrong(name, &error.to_string())),
        }
    }

    pub(super) fn required<T: DeserializeOwned>(self, name: &str) -> Result<T, WorkError> {
        self.optional(name)?
            .ok_or_else(|| wrong(name, "is missing"))
    }

    /// A whole number from 1 to `most`.
    pub(super) fn number(self, name: &str, most: u32) -> Result<Option<u32>, WorkError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match number {
            Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(wrong(name, &format!("must be a number from 1 to {most}"))),
        }
    }

    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, WorkError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "must be a text")),
        }
    }

    /// Bytes that came as base64.
    pub(super) fn bytes(self, name: &str) -> Result<Vec<u8>, WorkError> {
        let text = self.text(name)?.ok_or_else(|| wrong(name, "is missing"))?;
        STANDARD
            .decode(text)
            .map_err(|error| wrong(name, &format!("is not base64: {error}")))
    }
}

/// The problem may quote what the client sent: it is cut where it is long, as it goes to the log,
/// to the task, and from there to exports.
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

    #[test]
    fn numbers_have_bounds() {
        let map = Map::from_iter([
            ("least".to_owned(), json!(1)),
            ("most".to_owned(), json!(9)),
            ("null".to_owned(), Value::Null),
        ]);
        let numbers =
            ["least", "most", "null", "absent"].map(|name| Parameters(&map).number(name, 9).ok());
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
        ] {
            let map = Map::from_iter([("it".to_owned(), bad.clone())]);
            let error = Parameters(&map).number("it", 9).expect_err("refused");
            assert_eq!(
                error.to_string(),
                "parameters.it: must be a number from 1 to 9",
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
