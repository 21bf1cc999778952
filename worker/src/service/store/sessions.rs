//! Sessions. One that has expired does not exist, even while its row does.

use std::time::Duration;

use rusqlite::OptionalExtension;
use serde_json::{Map, Value};

use super::columns::{SESSION, session};
use super::{Store, StoreError, changes};
use crate::service::model::{Session, Timestamp, UserId};

impl Store {
    /// A new session; nothing when there is no such user.
    pub(crate) fn create_session(
        &self,
        user: UserId,
        data: &Map<String, Value>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let id = random_id()?;
        let data = serde_json::to_string(data)?;
        self.write(|transaction| {
            transaction
                .prepare_cached("DELETE FROM sessions WHERE expires_at <= ?")?
                .execute((now,))?;
            Ok(transaction
                .prepare_cached(&format!(
                    "INSERT INTO sessions (session_id, user_id, data, created_at, expires_at)
                     SELECT ?1, user_id, ?3, ?4, ?5 FROM users WHERE user_id = ?2
                     RETURNING {SESSION}"
                ))?
                .query_row((id, user, data, now, later(now, ttl)), session)
                .optional()?)
        })
    }

    pub(crate) fn session(&self, id: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let connection = self.read()?;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {SESSION} FROM sessions WHERE session_id = ? AND expires_at > ?"
        ))?;
        Ok(statement.query_row((id, now), session).optional()?)
    }

    /// Gives a session its full time again, and other data if there is some.
    pub(crate) fn refresh_session(
        &self,
        id: &str,
        data: Option<&Map<String, Value>>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let data = data.map(serde_json::to_string).transpose()?;
        self.write(|transaction| {
            let refreshed = transaction
                .prepare_cached(&format!(
                    "UPDATE sessions SET data = coalesce(?2, data), expires_at = ?3
                     WHERE session_id = ?1 AND expires_at > ?4 RETURNING {SESSION}"
                ))?
                .query_row((id, data, later(now, ttl), now), session)
                .optional()?;
            if refreshed.is_some() {
                changes::put(transaction, &format!("session:{id}"))?;
            }
            Ok(refreshed)
        })
    }

    /// False when there is none.
    pub(crate) fn delete_session(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let deleted = transaction
                .prepare_cached("DELETE FROM sessions WHERE session_id = ? AND expires_at > ?")?
                .execute((id, now))?;
            if deleted > 0 {
                changes::put(transaction, &format!("session:{id}"))?;
            }
            Ok(deleted > 0)
        })
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_add(by))
}

/// 128 bits from the system, in hexadecimal.
fn random_id() -> Result<String, StoreError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::store;
    use super::*;
    use crate::service::model::NewUser;

    #[test]
    fn sessions_end_with_their_time_or_their_user() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        let user = NewUser {
            username: "a".to_owned(),
            email: "a@b.org".to_owned(),
            full_name: None,
        };
        let user = store.create_user(&user, now).expect("a user").user_id;
        let minute = Duration::from_secs(60);
        let create = |user| store.create_session(user, &Map::new(), minute, now);
        assert_eq!(create(user + 1).expect("no error"), None);
        let session = create(user).expect("no error").expect("a session");
        assert_eq!(session.session_id.len(), 32);
        let at = |seconds: i64| Timestamp(now.0 + seconds * 1000);
        let alive = |id: &str, at| store.session(id, at).expect("a look").is_some();
        assert!(alive(&session.session_id, at(59)) && !alive(&session.session_id, at(60)));
        let refreshed = store.refresh_session(&session.session_id, None, minute, at(30));
        assert!(refreshed.expect("no error").is_some());
        assert!(alive(&session.session_id, at(89)));
        store.delete_user(user).expect("a deletion");
        assert!(!alive(&session.session_id, at(31)));
    }
}
