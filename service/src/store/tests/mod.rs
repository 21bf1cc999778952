//! Tests for every store. Each runs over a new store of each kind.

mod queue;
mod sessions;
mod survey;
mod tasks;
mod users;
