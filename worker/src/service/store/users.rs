//! Users.

use rusqlite::{ErrorCode, OptionalExtension, Transaction};

use super::columns::{USER, user};
use super::{Store, StoreError, changes};
use crate::service::model::{NewUser, Timestamp, User, UserChange, UserId};

impl Store {
    pub(crate) fn create_user(&self, new: &NewUser, now: Timestamp) -> Result<User, StoreError> {
        self.write(|transaction| {
            transaction
                .prepare_cached(&format!(
                    "INSERT INTO users (username, email, full_name, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?4) RETURNING {USER}"
                ))?
                .query_row((&new.username, &new.email, &new.full_name, now), user)
                .map_err(taken)
        })
    }

    pub(crate) fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let connection = self.read()?;
        let mut statement =
            connection.prepare_cached(&format!("SELECT {USER} FROM users WHERE user_id = ?"))?;
        Ok(statement.query_row((id,), user).optional()?)
    }

    /// The user as changed; nothing when there is none.
    pub(crate) fn change_user(
        &self,
        id: UserId,
        change: &UserChange,
        now: Timestamp,
    ) -> Result<Option<User>, StoreError> {
        self.write(|transaction| {
            let changed = transaction
                .prepare_cached(&format!(
                    "UPDATE users SET username = coalesce(?2, username),
                         email = coalesce(?3, email), full_name = coalesce(?4, full_name),
                         updated_at = ?5
                     WHERE user_id = ?1 RETURNING {USER}"
                ))?
                .query_row(
                    (id, &change.username, &change.email, &change.full_name, now),
                    user,
                )
                .optional()
                .map_err(taken)?;
            if changed.is_some() {
                spoil(transaction, id)?;
            }
            Ok(changed)
        })
    }

    /// Deletes the user and their sessions; false when there is none.
    pub(crate) fn delete_user(&self, id: UserId) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let sessions: Vec<String> = transaction
                .prepare_cached("SELECT session_id FROM sessions WHERE user_id = ?")?
                .query_map((id,), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for session in sessions {
                changes::put(transaction, &format!("session:{session}"))?;
            }
            let deleted = transaction
                .prepare_cached("DELETE FROM users WHERE user_id = ?")?
                .execute((id,))?;
            if deleted > 0 {
                spoil(transaction, id)?;
            }
            Ok(deleted > 0)
        })
    }
}

fn spoil(transaction: &Transaction<'_>, id: UserId) -> Result<(), StoreError> {
    changes::put(transaction, &format!("user:{id}"))
}

/// Names the field of a broken UNIQUE constraint.
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

#[cfg(test)]
mod tests {
    use super::super::testing::store;
    use super::*;

    fn new(username: &str, email: &str) -> NewUser {
        NewUser {
            username: username.to_owned(),
            email: email.to_owned(),
            full_name: None,
        }
    }

    #[test]
    fn names_and_addresses_are_unique_whatever_the_case() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        let anna = store
            .create_user(&new("anna", "a@b.org"), now)
            .expect("a user");
        let taken = |user: &NewUser| match store.create_user(user, now) {
            Err(StoreError::Taken(field)) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(taken(&new("Anna", "c@b.org")), "username");
        assert_eq!(taken(&new("bob", "A@b.org")), "email");
        let change = UserChange {
            username: None,
            email: None,
            full_name: Some("Anna B".to_owned()),
        };
        let changed = store
            .change_user(anna.user_id, &change, now)
            .expect("a change");
        assert_eq!(changed.and_then(|it| it.full_name), change.full_name);
        assert!(store.delete_user(anna.user_id).expect("a deletion"));
        assert!(!store.delete_user(anna.user_id).expect("none"));
        assert_eq!(store.user(anna.user_id).expect("a look"), None);
    }
}
