//! A transaction, and the cache keys that it invalidates when it is committed.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::Transaction;

/// A transaction, and the cache keys that it invalidates.
#[derive(Debug)]
pub(super) struct SqliteChange<'a> {
    pub(super) transaction: Transaction<'a>,
    spoiled: RefCell<Vec<String>>,
    added: RefCell<Vec<String>>,
}

impl<'a> SqliteChange<'a> {
    pub(super) fn new(transaction: Transaction<'a>) -> Self {
        Self {
            transaction,
            spoiled: RefCell::default(),
            added: RefCell::default(),
        }
    }

    /// Invalidates `key` with this change.
    pub(super) fn spoils(&self, key: String) {
        self.spoiled.borrow_mut().push(key);
    }

    /// Invalidates the lists: nothing is cached under the new `key`, but they lack it.
    pub(super) fn adds(&self, key: String) {
        self.added.borrow_mut().push(key);
    }

    pub(super) fn spoiled(&self) -> Vec<String> {
        self.spoiled.take()
    }

    pub(super) fn added(&self) -> Vec<String> {
        self.added.take()
    }
}

impl<'a> Deref for SqliteChange<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}
