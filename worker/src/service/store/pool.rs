//! The connections of one process, after the guide's four settings: POOL_SIZE are kept,
//! MAX_OVERFLOW more exist under load and go when they have idled a while, each is replaced after
//! POOL_RECYCLE, and a request waits POOL_TIMEOUT for one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use oxicorn_common::Settings;
use r2d2::{Pool as R2d2Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;

use super::StoreError;

pub(super) type Lent = PooledConnection<SqliteConnectionManager>;

/// How long a connection beyond POOL_SIZE may idle.
const OVERFLOW_IDLES: Duration = Duration::from_secs(60);
/// How long a writer waits for the other writers of all processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Pool(R2d2Pool<SqliteConnectionManager>);

impl Pool {
    pub(super) fn new(path: &Path, settings: &Settings) -> Self {
        let manager = SqliteConnectionManager::file(path).with_init(prepare);
        // One helper thread opens and closes the connections of this process.
        let helper = scheduled_thread_pool::ScheduledThreadPool::new(1);
        let recycle = settings.pool_recycle;
        let pool = R2d2Pool::builder()
            .max_size(settings.pool_size + settings.max_overflow)
            .min_idle(Some(settings.pool_size))
            .idle_timeout(Some(OVERFLOW_IDLES))
            .max_lifetime((!recycle.is_zero()).then_some(recycle))
            .connection_timeout(settings.pool_timeout.max(Duration::from_millis(1)))
            .test_on_check_out(false)
            .thread_pool(Arc::new(helper))
            .build_unchecked(manager);
        Self(pool)
    }

    pub(super) fn take(&self) -> Result<Lent, StoreError> {
        self.0.get().map_err(|_| StoreError::Busy(None))
    }
}

/// A connection outside the pool.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    prepare(&mut connection)?;
    Ok(connection)
}

/// The file of `sqlite:PATH` or `sqlite:///PATH`.
pub(super) fn path_of(database_url: &str) -> anyhow::Result<PathBuf> {
    let Some(path) = database_url.strip_prefix("sqlite:") else {
        let scheme = database_url.split(':').next().unwrap_or_default();
        bail!(
            "database_url: {scheme}: is not supported; use sqlite:PATH, such as sqlite:oxicorn.db"
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

/// FULL: a change that was answered is on the disk, whatever happens to the machine.
fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
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
