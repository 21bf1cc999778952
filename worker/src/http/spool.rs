//! Where a body goes while it arrives: memory at first, an unlinked temporary file once it is
//! longer than [`BODY_IN_MEMORY`]. The file has no name, so nothing is left behind by a crash.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, IntoInnerError, Seek, Write};
use std::path::{Path, PathBuf};

use oxicorn_common::request::Body;

use super::RequestError;
use super::limits::{BODY_IN_MEMORY, Limits};

/// A body that is still arriving.
#[derive(Debug)]
pub(crate) enum Spool {
    Memory(Vec<u8>),
    /// Buffered, because a chunk may be a single octet.
    File {
        file: BufWriter<File>,
        length: u64,
        /// Where it would be found if it had a name.
        directory: PathBuf,
    },
}

impl Default for Spool {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Spool {
    /// Makes room for what the client announced, within what may stay in memory.
    pub(crate) fn expect(&mut self, length: u64) {
        if let Self::Memory(bytes) = self {
            bytes.reserve(usize::try_from(length).map_or(0, |it| it.min(BODY_IN_MEMORY)));
        }
    }

    pub(crate) fn push(&mut self, data: &[u8], limits: &Limits) -> Result<(), RequestError> {
        if self.length() + data.len() as u64 > limits.body {
            return Err(RequestError::BodyTooLarge);
        }
        match self {
            Self::Memory(bytes) if bytes.len() + data.len() <= BODY_IN_MEMORY => {
                bytes.extend_from_slice(data);
            }
            Self::Memory(bytes) => {
                let directory = limits.spool_dir.clone();
                let directory = directory.unwrap_or_else(std::env::temp_dir);
                let outcome = tempfile::tempfile_in(&directory).and_then(|file| {
                    let mut file = BufWriter::new(file);
                    file.write_all(bytes).map(|()| file)
                });
                *self = Self::File {
                    file: outcome.map_err(failed(&directory))?,
                    length: bytes.len() as u64,
                    directory,
                };
                return self.push(data, limits);
            }
            Self::File {
                file,
                length,
                directory,
            } => {
                file.write_all(data).map_err(failed(directory))?;
                *length += data.len() as u64;
            }
        }
        Ok(())
    }

    /// The whole body, to be read from its beginning.
    pub(crate) fn finish(self) -> Result<Body, RequestError> {
        Ok(match self {
            Self::Memory(bytes) => Body::Memory(Cursor::new(bytes)),
            Self::File {
                file,
                length,
                directory,
            } => {
                let file = file.into_inner().map_err(IntoInnerError::into_error);
                let mut file = file.map_err(failed(&directory))?;
                file.rewind().map_err(failed(&directory))?;
                Body::Spooled { file, length }
            }
        })
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

fn failed(directory: &Path) -> impl Fn(io::Error) -> RequestError {
    |source| RequestError::Spool {
        directory: directory.to_owned(),
        source,
    }
}
