//! The `parameters` of a task, read by name. What is wrong with one is an error that names it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::WorkError;

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

pub(super) fn wrong(name: &str, problem: &str) -> WorkError {
    WorkError::Parameters(format!("parameters.{name}: {problem}"))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
