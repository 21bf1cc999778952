//! Sessions, in SQL. They expire by the clock of the database: a session that one server makes must be alive for all.

use std::time::Duration;

use super::Postgres;
use super::clock::{self, millis};
use super::columns::{SESSION, session};
use crate::keys::session_key;
use crate::model::{Session, StoredJson, UserId, new_session_id, time_left};
use crate::store::{Now, Sessions, StoreError};

impl Sessions for Postgres {
    fn create_session(
        &self,
        user: UserId,
        data: &StoredJson,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError> {
        let id = new_session_id()?;
        let data = serde_json::to_string(data)?;
        let (moment, ttl) = (now.given(), millis(ttl));
        self.write(|change| {
            // Deletes expired sessions, a few at a time; other processes may do so at the same time.
            let sql = format!(
                "DELETE FROM sessions WHERE session_id IN (
                     SELECT session_id FROM sessions WHERE expires_at <= {}
                     LIMIT 100 FOR UPDATE SKIP LOCKED)",
                clock::now(1)
            );
            change.execute(&sql, &[&moment])?;
            let present = clock::now(4);
            let sql = format!(
                "INSERT INTO sessions (session_id, user_id, data, created_at, expires_at)
                 SELECT $1, user_id, $3, {present}, {present} + $5 FROM users WHERE user_id = $2 FOR KEY SHARE
                 RETURNING {SESSION}"
            );
            let row = change.row(&sql, &[&id, &user, &data, &moment, &ttl])?;
            row.as_ref().map(session).transpose()
        })
    }

    fn session(&self, id: &str, now: Now) -> Result<Option<(Session, Duration)>, StoreError> {
        let present = clock::now(2);
        let sql = format!(
            "SELECT {SESSION}, expires_at - {present} AS time_left FROM sessions
             WHERE session_id = $1 AND expires_at > {present}"
        );
        let row = self.read(|connection| connection.row(&sql, &[&id, &now.given()]))?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some((session(&row)?, time_left(row.try_get("time_left")?))))
    }

    fn refresh_session(
        &self,
        id: &str,
        data: Option<&StoredJson>,
        ttl: Duration,
        now: Now,
    ) -> Result<Option<Session>, StoreError> {
        let data = data.map(serde_json::to_string).transpose()?;
        let (present, moment, ttl) = (clock::now(4), now.given(), millis(ttl));
        self.write(|change| {
            let sql = format!(
                "UPDATE sessions SET data = coalesce($2, data), expires_at = {present} + $3
                 WHERE session_id = $1 AND expires_at > {present} RETURNING {SESSION}"
            );
            let row = change.row(&sql, &[&id, &data, &ttl, &moment])?;
            let refreshed = row.as_ref().map(session).transpose()?;
            if refreshed.is_some() {
                change.spoils(session_key(id));
            }
            Ok(refreshed)
        })
    }

    fn delete_session(&self, id: &str, now: Now) -> Result<bool, StoreError> {
        let (present, moment) = (clock::now(2), now.given());
        self.write(|change| {
            let sql =
                format!("DELETE FROM sessions WHERE session_id = $1 AND expires_at > {present}");
            let deleted = change.execute(&sql, &[&id, &moment])? > 0;
            if deleted {
                change.spoils(session_key(id));
            }
            Ok(deleted)
        })
    }
}
