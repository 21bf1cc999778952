//! Users, in SQL.

use rusqlite::{ErrorCode, OptionalExtension};

use super::Sqlite;
use super::columns::{self, USER};
use crate::keys::{session_key, user_key};
use crate::model::{NewUser, User, UserChange, UserId};
use crate::store::{Now, StoreError, Users};

impl Users for Sqlite {
    fn create_user(&self, new: &NewUser, now: Now) -> Result<User, StoreError> {
        let now = now.here();
        self.write(|change| {
            change
                .prepare_cached(&format!(
                    "INSERT INTO users (username, email, full_name, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?4) RETURNING {USER}"
                ))?
                .query_row(
                    (&new.username, &new.email, &new.full_name, now),
                    columns::user,
                )
                .map_err(taken)
        })
    }

    fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {USER} FROM users WHERE user_id = ?");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row((id,), columns::user).optional()?)
        })
    }

    fn change_user(
        &self,
        id: UserId,
        changed: &UserChange,
        now: Now,
    ) -> Result<Option<User>, StoreError> {
        let now = now.here();
        self.write(|change| {
            let user = change
                .prepare_cached(&format!(
                    "UPDATE users SET username = coalesce(?2, username),
                         email = coalesce(?3, email), full_name = coalesce(?4, full_name),
                         updated_at = ?5
                     WHERE user_id = ?1 RETURNING {USER}"
                ))?
                .query_row(
                    (
                        id,
                        &changed.username,
                        &changed.email,
                        &changed.full_name,
                        now,
                    ),
                    columns::user,
                )
                .optional()
                .map_err(taken)?;
            if user.is_some() {
                change.spoils(user_key(id));
            }
            Ok(user)
        })
    }

    fn delete_user(&self, id: UserId) -> Result<bool, StoreError> {
        self.write(|change| {
            let sessions: Vec<String> = change
                .prepare_cached("SELECT session_id FROM sessions WHERE user_id = ?")?
                .query_map((id,), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for session in sessions {
                change.spoils(session_key(&session));
            }
            let deleted = change
                .prepare_cached("DELETE FROM users WHERE user_id = ?")?
                .execute((id,))?;
            if deleted > 0 {
                change.spoils(user_key(id));
            }
            Ok(deleted > 0)
        })
    }
}

/// The field of a violated UNIQUE constraint.
fn taken(error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        let text = error.to_string();
        for field in ["username", "email"] {
            if text.contains(&format!("users.{field}")) {
                return StoreError::Taken(field);
            }
        }
    }
    error.into()
}
