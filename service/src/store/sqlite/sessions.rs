//! Sessions, in SQL.

use std::time::Duration;

use super::Sqlite;
use super::columns::{SESSION, session};
use crate::keys::session_key;
use crate::model::{Session, StoredJson, UserId, after, new_session_id, time_left};
use crate::store::{Now, Sessions, StoreError};
use rusqlite::OptionalExtension;

impl Sessions for Sqlite {
    fn create_session(
        &self,
        user: UserId,
        data: &StoredJson,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError> {
        let now = now.here();
        let id = new_session_id()?;
        let data = serde_json::to_string(data)?;
        self.write(|change| {
            change
                .prepare_cached("DELETE FROM sessions WHERE expires_at <= ?")?
                .execute((now,))?;
            Ok(change
                .prepare_cached(&format!(
                    "INSERT INTO sessions (session_id, user_id, data, created_at, expires_at)
                     SELECT ?1, user_id, ?3, ?4, ?5 FROM users WHERE user_id = ?2
                     RETURNING {SESSION}"
                ))?
                .query_row((id, user, data, now, after(now, ttl)), session)
                .optional()?)
        })
    }

    fn session(&self, id: &str, now: Now) -> Result<Option<(Session, Duration)>, StoreError> {
        let now = now.here();
        let found = self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {SESSION} FROM sessions WHERE session_id = ? AND expires_at > ?"
            ))?;
            Ok(statement.query_row((id, now), session).optional()?)
        })?;
        Ok(found.map(|session| {
            let left = time_left(session.expires_at.0 - now.0);
            (session, left)
        }))
    }

    fn refresh_session(
        &self,
        id: &str,
        data: Option<&StoredJson>,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError> {
        let now = now.here();
        let data = data.map(serde_json::to_string).transpose()?;
        self.write(|change| {
            let refreshed = change
                .prepare_cached(&format!(
                    "UPDATE sessions SET data = coalesce(?2, data), expires_at = ?3
                     WHERE session_id = ?1 AND expires_at > ?4 RETURNING {SESSION}"
                ))?
                .query_row((id, data, after(now, ttl), now), session)
                .optional()?;
            if refreshed.is_some() {
                change.spoils(session_key(id));
            }
            Ok(refreshed)
        })
    }

    fn delete_session(&self, id: &str, now: Now) -> Result<bool, StoreError> {
        let now = now.here();
        self.write(|change| {
            let deleted = change
                .prepare_cached("DELETE FROM sessions WHERE session_id = ? AND expires_at > ?")?
                .execute((id, now))?;
            if deleted > 0 {
                change.spoils(session_key(id));
            }
            Ok(deleted > 0)
        })
    }
}
