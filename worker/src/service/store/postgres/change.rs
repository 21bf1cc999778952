//! A change on its way: a transaction, and what caches must forget when it is committed.

use std::fmt;

use postgres::{Row, Transaction};

use super::connection::{Statements, Values, prepared};
use super::error;
use crate::service::store::StoreError;

pub(super) struct Change<'a> {
    transaction: Transaction<'a>,
    statements: &'a mut Statements,
    spoiled: Vec<String>,
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("spoiled", &self.spoiled)
            .finish()
    }
}

impl<'a> Change<'a> {
    pub(super) fn new(transaction: Transaction<'a>, statements: &'a mut Statements) -> Self {
        Self {
            transaction,
            statements,
            spoiled: Vec::new(),
        }
    }

    pub(super) fn rows(&mut self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, StoreError> {
        let statement = prepared(&mut self.transaction, self.statements, sql)?;
        Ok(self.transaction.query(&statement, values)?)
    }

    pub(super) fn row(&mut self, sql: &str, values: Values<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// Returns how many rows there were.
    pub(super) fn execute(&mut self, sql: &str, values: Values<'_>) -> Result<u64, StoreError> {
        let statement = prepared(&mut self.transaction, self.statements, sql)?;
        Ok(self.transaction.execute(&statement, values)?)
    }

    /// What is cached under `key` is no longer good.
    pub(super) fn spoils(&mut self, key: String) {
        self.spoiled.push(key);
    }

    pub(super) fn spoiled(&mut self) -> Vec<String> {
        std::mem::take(&mut self.spoiled)
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().map_err(error::of_commit)
    }
}
