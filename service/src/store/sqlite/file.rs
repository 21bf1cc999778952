//! The database file: which inode a path leads to, and connections that know theirs.

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use r2d2::ManageConnection;
use rusqlite::{Connection, OpenFlags};

use super::connection;

/// The identity of a file, independent of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = path.metadata()?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}:{:x}", self.device, self.inode)
    }
}

/// A connection, and the file that it has open.
#[derive(Debug)]
pub(super) struct SqliteConnection {
    connection: Connection,
    pub(super) file: FileId,
}

impl SqliteConnection {
    /// Never creates the file: if it is missing, an empty one in its place would hide that.
    pub(super) fn new(path: &Path) -> Result<Self, OpenError> {
        let missing = |cause| OpenError::Missing {
            path: path.display().to_string(),
            cause,
        };
        let file = FileId::of(path).map_err(missing)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection::prepare(&mut connection)?;
        match FileId::of(path).map_err(missing)? == file {
            true => Ok(Self { connection, file }),
            // It was replaced just now.
            false => Self::new(path),
        }
    }
}

impl Deref for SqliteConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for SqliteConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("{path}: {cause}")]
    Missing { path: String, cause: io::Error },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Opens connections to the file that the path leads to at that moment.
#[derive(Debug)]
pub(super) struct SqliteManager(pub(super) PathBuf);

impl ManageConnection for SqliteManager {
    type Connection = SqliteConnection;
    type Error = OpenError;

    fn connect(&self) -> Result<SqliteConnection, OpenError> {
        SqliteConnection::new(&self.0)
    }

    fn is_valid(&self, connection: &mut SqliteConnection) -> Result<(), OpenError> {
        Ok(connection.execute_batch("")?)
    }

    fn has_broken(&self, _connection: &mut SqliteConnection) -> bool {
        false
    }
}
