//! What every store does: each test runs over a new one of each kind.

mod queue;
mod sessions;
mod tasks;
mod users;
