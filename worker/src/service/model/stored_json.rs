//! JSON that the store keeps and clients see: checked when it is read, and passed on as it is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The text of one JSON value. Equal texts are equal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoredJson(Box<RawValue>);

impl StoredJson {
    /// # Errors
    /// It is of another type.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }
}

impl PartialEq for StoredJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_out_as_it_came_and_what_is_no_json_does_not_come() {
        let text = r#"{"b": 1.50, "a": [ ]}"#;
        let stored: StoredJson = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_string(&stored).expect("text"), text);
        for text in ["", "{", "{} {}", "nan"] {
            assert!(serde_json::from_str::<StoredJson>(text).is_err(), "{text}");
        }
    }
}
