//! A session: data of a user that expires.

use serde::Serialize;

use super::{StoredJson, Timestamp, UserId};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// 128 random bits, hexadecimal.
    pub(crate) session_id: String,
    pub(crate) user_id: UserId,
    pub(crate) data: StoredJson,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// 128 bits from the system's random generator, in hexadecimal.
pub(crate) fn new_session_id() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}
