//! A user of the service.

use garde::Validate;
use serde::Serialize;

use super::Timestamp;

/// Counts from 1.
pub(crate) type UserId = i64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) user_id: UserId,
    /// Unique, whatever the case.
    pub(crate) username: String,
    /// Unique, whatever the case.
    pub(crate) email: String,
    pub(crate) full_name: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The body of `POST /users`.
#[derive(Debug, Clone, Validate)]
pub(crate) struct NewUser {
    #[garde(length(chars, min = 1, max = 64), custom(plain))]
    pub(crate) username: String,
    #[garde(email, length(chars, max = 254))]
    pub(crate) email: String,
    #[garde(inner(length(chars, max = 200)))]
    pub(crate) full_name: Option<String>,
}

/// The body of `PUT /users/{id}`: what is absent stays as it is.
#[derive(Debug, Clone, Validate)]
pub(crate) struct UserChange {
    #[garde(inner(length(chars, min = 1, max = 64), custom(plain)))]
    pub(crate) username: Option<String>,
    #[garde(inner(email, length(chars, max = 254)))]
    pub(crate) email: Option<String>,
    #[garde(inner(length(chars, max = 200)))]
    pub(crate) full_name: Option<String>,
}

fn plain(text: &str, (): &()) -> garde::Result {
    if text.chars().any(char::is_control) {
        return Err(garde::Error::new("has a control character"));
    }
    if text.trim() != text {
        return Err(garde::Error::new("begins or ends with a space"));
    }
    Ok(())
}
