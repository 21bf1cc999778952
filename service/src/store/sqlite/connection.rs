//! Opens connections to the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use oxicorn_common::settings::mask;
use rusqlite::Connection;

/// How long a writer waits for the other writers of all processes, other programs included.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;

/// Opens a connection outside the pool.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    prepare(&mut connection)?;
    Ok(connection)
}

/// The file of `sqlite:PATH` or `sqlite:///PATH`.
pub(super) fn path_of(database_url: &str) -> anyhow::Result<PathBuf> {
    let Some(path) = database_url.strip_prefix("sqlite:") else {
        bail!(
            "database_url: {}: names no file; use sqlite:PATH",
            mask(database_url)
        );
    };
    let path = match path.strip_prefix("//") {
        Some(rest) => rest.strip_prefix('/').map_or(rest, |_| rest),
        None => path,
    };
    if path.is_empty() || path == ":memory:" {
        bail!(
            "database_url: {database_url}: workers share a file, so it must name one: sqlite:PATH"
        );
    }
    Ok(PathBuf::from(path))
}

/// FULL: a confirmed change is on the disk and survives a power failure.
pub(super) fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -1024;",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_file() {
        let path = |url: &str| path_of(url).ok();
        assert_eq!(path("sqlite:a.db"), Some("a.db".into()));
        assert_eq!(path("sqlite:/var/a.db"), Some("/var/a.db".into()));
        assert_eq!(path("sqlite:///var/a.db"), Some("/var/a.db".into()));
        for bad in ["postgres://a/b", "sqlite:", "sqlite::memory:", "a.db"] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
