//! Sessions, in SQL.

use std::time::Duration;

use super::Postgres;
use super::columns::{SESSION, session};
use crate::keys::session_key;
use crate::model::{Session, StoredJson, Timestamp, UserId, after, new_session_id};
use crate::store::{Sessions, StoreError};

impl Sessions for Postgres {
    fn create_session(
        &self,
        user: UserId,
        data: &StoredJson,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let id = new_session_id()?;
        let data = serde_json::to_string(data)?;
        self.write(|change| {
            // Deletes expired sessions, a few at a time; other processes may do so at the same time.
            change.execute(
                "DELETE FROM sessions WHERE session_id IN (
                     SELECT session_id FROM sessions WHERE expires_at <= $1
                     LIMIT 100 FOR UPDATE SKIP LOCKED)",
                &[&now.0],
            )?;
            let sql = format!(
                "INSERT INTO sessions (session_id, user_id, data, created_at, expires_at)
                 SELECT $1, user_id, $3, $4, $5 FROM users WHERE user_id = $2 FOR KEY SHARE
                 RETURNING {SESSION}"
            );
            let row = change.row(&sql, &[&id, &user, &data, &now.0, &after(now, ttl).0])?;
            row.as_ref().map(session).transpose()
        })
    }

    fn session(&self, id: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let sql =
            format!("SELECT {SESSION} FROM sessions WHERE session_id = $1 AND expires_at > $2");
        let row = self.read(|connection| connection.row(&sql, &[&id, &now.0]))?;
        row.as_ref().map(session).transpose()
    }

    fn refresh_session(
        &self,
        id: &str,
        data: Option<&StoredJson>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let data = data.map(serde_json::to_string).transpose()?;
        self.write(|change| {
            let sql = format!(
                "UPDATE sessions SET data = coalesce($2, data), expires_at = $3
                 WHERE session_id = $1 AND expires_at > $4 RETURNING {SESSION}"
            );
            let row = change.row(&sql, &[&id, &data, &after(now, ttl).0, &now.0])?;
            let refreshed = row.as_ref().map(session).transpose()?;
            if refreshed.is_some() {
                change.spoils(session_key(id));
            }
            Ok(refreshed)
        })
    }

    fn delete_session(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|change| {
            let sql = "DELETE FROM sessions WHERE session_id = $1 AND expires_at > $2";
            let deleted = change.execute(sql, &[&id, &now.0])? > 0;
            if deleted {
                change.spoils(session_key(id));
            }
            Ok(deleted)
        })
    }
}
