//! JSON that is checked when it is received and then stored and returned as text. Known fields are read when they are
//! needed. As a tree, a list of `0,0,0` would take twenty times the memory of its text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The text of one JSON value. Equal texts are equal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoredJson(Box<RawValue>);

/// Some fields of an object, by name.
pub(crate) type JsonFields = BTreeMap<String, Box<RawValue>>;

impl StoredJson {
    /// # Errors
    /// It is of another type.
    #[cfg(test)]
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0.get())
    }

    /// `None` if it is not an object.
    pub(crate) fn object(raw: Box<RawValue>) -> Option<Self> {
        raw.get().starts_with('{').then_some(Self(raw))
    }

    /// The fields with these names; `None` if it is not an object.
    pub(crate) fn fields(&self, names: &[&str]) -> serde_json::Result<Option<JsonFields>> {
        fields(self.0.get().as_bytes(), names)
    }
}

impl Default for StoredJson {
    /// An object without fields.
    fn default() -> Self {
        Self(RawValue::from_string("{}".to_owned()).expect("an object"))
    }
}

impl PartialEq for StoredJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// Whether it is one JSON value with valid parts: strings are text, numbers are in range, and nothing is nested too
/// deep.
pub(crate) fn check(text: &[u8]) -> serde_json::Result<()> {
    serde_json::from_slice::<Checked>(text).map(|_| ())
}

/// The fields with these names; the last of several counts. `None` if it is not an object.
pub(crate) fn fields(text: &[u8], names: &[&str]) -> serde_json::Result<Option<JsonFields>> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let found = Named(names).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// Stands for a list or an object: the type of a scalar refuses it as it would refuse the whole tree.
pub(crate) const NO_SCALAR: &str = "[]";

/// The text of a field, if it may be a scalar.
pub(crate) fn scalar(raw: &RawValue) -> &str {
    match raw.get().starts_with(['[', '{']) {
        true => NO_SCALAR,
        false => raw.get(),
    }
}

struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

struct Named<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Option<JsonFields>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Option<JsonFields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = JsonFields::new();
        while let Some(name) = entries.next_key::<String>()? {
            match self.0.contains(&name.as_str()) {
                true => _ = found.insert(name, entries.next_value()?),
                false => _ = entries.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Some(found))
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

    #[test]
    fn what_could_not_be_read_later_is_refused_now() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in [
            r#"{"a": "\ud800"}"#,
            r#"{"a": 1e999}"#,
            &deep,
            "{} {}",
            "{\"a\":}",
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
        assert!(check(br#"{"a": [0, -1, 1.5, null, true, "\ud83d\ude00", {"a": {}}]}"#).is_ok());
    }

    #[test]
    fn fields_are_found_by_name_and_the_last_counts() {
        let text = br#"{"a": 1, "b": [1, 2], "a": {"c": 2}, "d": "x"}"#;
        let found = fields(text, &["a", "b", "z"])
            .expect("JSON")
            .expect("an object");
        let texts: Vec<_> = found
            .iter()
            .map(|(name, raw)| (&**name, raw.get()))
            .collect();
        assert_eq!(texts, [("a", r#"{"c": 2}"#), ("b", "[1, 2]")]);
        for text in ["1", "[{}]", "null", "\"a\"", "true", "-1", "1.5"] {
            assert!(
                fields(text.as_bytes(), &["a"]).expect("JSON").is_none(),
                "{text}"
            );
        }
    }
}
