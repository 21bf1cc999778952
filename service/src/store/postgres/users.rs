//! Users, in SQL.

use super::Postgres;
use super::clock;
use super::columns::{USER, user};
use crate::keys::{session_key, user_key};
use crate::model::{NewUser, User, UserChange, UserId};
use crate::store::{Now, StoreError, Users};

impl Users for Postgres {
    fn create_user(&self, new: &NewUser, now: Now) -> Result<User, StoreError> {
        let (present, moment) = (clock::now(4), now.given());
        self.write(|change| {
            let sql = format!(
                "INSERT INTO users (username, email, full_name, created_at, updated_at)
                 VALUES ($1, $2, $3, {present}, {present}) RETURNING {USER}"
            );
            let values = (&new.username, &new.email, &new.full_name, &moment);
            let row = change.row(&sql, &[values.0, values.1, values.2, values.3])?;
            user(&row.ok_or(StoreError::Column("users"))?)
        })
    }

    fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = format!("SELECT {USER} FROM users WHERE user_id = $1");
        let row = self.read(|connection| connection.row(&sql, &[&id]))?;
        row.as_ref().map(user).transpose()
    }

    fn change_user(
        &self,
        id: UserId,
        changed: &UserChange,
        now: Now,
    ) -> Result<Option<User>, StoreError> {
        let (present, moment) = (clock::now(5), now.given());
        self.write(|change| {
            let sql = format!(
                "UPDATE users SET username = coalesce($2, username), email = coalesce($3, email),
                     full_name = coalesce($4, full_name), updated_at = {present}
                 WHERE user_id = $1 RETURNING {USER}"
            );
            let (username, email) = (&changed.username, &changed.email);
            let row = change.row(&sql, &[&id, username, email, &changed.full_name, &moment])?;
            let found = row.as_ref().map(user).transpose()?;
            if found.is_some() {
                change.spoils(user_key(id));
            }
            Ok(found)
        })
    }

    fn delete_user(&self, id: UserId) -> Result<bool, StoreError> {
        self.write(|change| {
            // A concurrent session for this user waits, and then finds no user.
            let sql = "SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE";
            if change.row(sql, &[&id])?.is_none() {
                return Ok(false);
            }
            let sql = "DELETE FROM sessions WHERE user_id = $1 RETURNING session_id";
            for row in change.rows(sql, &[&id])? {
                change.spoils(session_key(row.try_get(0)?));
            }
            change.execute("DELETE FROM users WHERE user_id = $1", &[&id])?;
            change.spoils(user_key(id));
            Ok(true)
        })
    }
}
