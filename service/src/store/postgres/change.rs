//! A transaction, and the cache keys that it invalidates when it is committed.

use std::fmt;

use postgres::{Row, Transaction};

use super::error;
use super::statements::{Statements, Values};
use crate::store::StoreError;

pub(super) struct PgChange<'a> {
    transaction: Transaction<'a>,
    statements: &'a mut Statements,
    spoiled: Vec<String>,
}

impl fmt::Debug for PgChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("spoiled", &self.spoiled)
            .finish()
    }
}

impl<'a> PgChange<'a> {
    pub(super) fn new(transaction: Transaction<'a>, statements: &'a mut Statements) -> Self {
        Self {
            transaction,
            statements,
            spoiled: Vec::new(),
        }
    }

    pub(super) fn rows(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        let outcome = self.statements.query(&mut self.transaction, sql, values);
        outcome.map_err(|error| self.sort(error))
    }

    pub(super) fn row(&mut self, sql: &str, values: Values<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// Returns the number of rows.
    pub(super) fn execute(&mut self, sql: &str, values: Values<'_>) -> Result<u64, StoreError> {
        let outcome = self.statements.execute(&mut self.transaction, sql, values);
        outcome.map_err(|error| self.sort(error))
    }

    /// Invalidates `key` with this change.
    pub(super) fn spoils(&mut self, key: String) {
        self.spoiled.push(key);
    }

    pub(super) fn spoiled(&mut self) -> Vec<String> {
        std::mem::take(&mut self.spoiled)
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().map_err(error::of_commit)
    }

    /// Rolls the transaction back if its statements have to be prepared again.
    fn sort(&mut self, error: postgres::Error) -> StoreError {
        match self.statements.are_stale(&error) {
            true => StoreError::Conflict(anyhow::Error::new(error)),
            false => error.into(),
        }
    }
}
