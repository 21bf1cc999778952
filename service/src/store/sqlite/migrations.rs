//! The tables and their versions. The first process brings them up to date while the others wait.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::{M, Migrations};

use super::connection;

/// In order, and never changed once released: a new version is a new file.
const VERSIONS: &[M<'_>] = &[
    M::up(include_str!("migrations/1-tasks-users-sessions.sql")),
    M::up(include_str!("migrations/2-task-counts.sql")),
    M::up(include_str!("migrations/3-stale-keys.sql")),
    M::up(include_str!("migrations/4-store.sql")),
];

/// Several workers start at once, and one of them creates the file.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn run(path: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match attempt(path) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => {
                return outcome.with_context(|| format!("cannot open {}", path.display()));
            }
        }
    }
}

fn attempt(path: &Path) -> anyhow::Result<()> {
    let mut connection = connection::connect(path)?;
    let migrations = Migrations::from_slice(VERSIONS);
    // The mode is a property of the file. Setting it needs exclusive access.
    if journal_mode(&connection)? != "wal" {
        connection.pragma_update(None, "journal_mode", "wal")?;
    }
    let before = version(&connection)?;
    match migrations.to_latest(&mut connection) {
        // Another process made the same step between our look at the version and our own step.
        Err(_) if version(&connection)? != before => Ok(migrations.to_latest(&mut connection)?),
        outcome => Ok(outcome?),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn journal_mode(connection: &Connection) -> rusqlite::Result<String> {
    connection.pragma_query_value(None, "journal_mode", |row| row.get(0))
}

fn is_busy(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let sqlite = match cause.downcast_ref::<rusqlite_migration::Error>() {
            Some(rusqlite_migration::Error::RusqliteError { err, .. }) => Some(err),
            _ => cause.downcast_ref::<rusqlite::Error>(),
        };
        let code = sqlite.and_then(rusqlite::Error::sqlite_error_code);
        matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_valid() {
        Migrations::from_slice(VERSIONS)
            .validate()
            .expect("valid SQL");
    }

    #[test]
    fn a_file_of_the_first_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("old.db");
        let mut old = connection::connect(&path).expect("a file");
        let first = Migrations::from_slice(&VERSIONS[..1]);
        first.to_latest(&mut old).expect("the first version");
        old.execute_batch(
            "INSERT INTO tasks (task_reference, task_type, user_id, priority, status, parameters,
                 available_at, created_at, updated_at)
             VALUES ('A', 'data_export', '1', 1, 'failed', '{}', 0, 0, 0),
                 ('B', 'data_export', '1', 1, 'failed', '{}', 0, 0, 0)",
        )
        .expect("tasks");
        run(&path).expect("the last version");
        let count: i64 = old
            .query_row("SELECT sum(count) FROM task_counts", (), |row| row.get(0))
            .expect("a sum");
        assert_eq!(count, 2);
    }

    #[test]
    fn many_may_come_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| run(&path))).collect();
            for one in all {
                one.join().expect("no panic").expect("tables");
            }
        });
        let file = connection::connect(&path).expect("a file");
        assert_eq!(version(&file).expect("a number"), VERSIONS.len() as i64);
        let intact: String = file
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .expect("an answer");
        assert_eq!(intact, "ok");
    }
}
