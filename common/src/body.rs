//! A request body that has arrived whole: in memory, or in an unlinked temporary file.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use crate::body_memory::BodyBuffer;

/// A body, as a reader or as a whole.
///
/// ```
/// use std::io::Read;
/// use oxicorn_common::Body;
///
/// # fn main() -> std::io::Result<()> {
/// let mut body = Body::from(b"name=value".to_vec());
/// assert_eq!(body.length(), 10);
/// let mut start = [0; 4];
/// body.read_exact(&mut start)?;
/// assert_eq!(&start, b"name");
/// assert_eq!(&*body.read_all()?, b"name=value");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum Body {
    Memory(Cursor<BodyBuffer>),
    /// In an unlinked temporary file.
    Spooled {
        file: File,
        length: u64,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(Cursor::new(bytes.into()))
    }
}

impl Body {
    /// In bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.get_ref().as_ref().len() as u64,
            Self::Spooled { length, .. } => *length,
        }
    }

    /// To be called when a thread takes up the request: the body no longer waits.
    pub fn begin(&mut self) {
        if let Self::Memory(bytes) = self {
            bytes.get_mut().begin();
        }
    }

    /// The whole body, however much of it has been read.
    pub fn read_all(&mut self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(bytes) => Ok(Cow::Borrowed(bytes.get_ref().as_ref())),
            Self::Spooled { file, length } => {
                let mut all = Vec::new();
                // Too little memory is an error of this request and must not end the worker.
                all.try_reserve_exact(usize::try_from(*length).unwrap_or(usize::MAX))?;
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut all)?;
                Ok(Cow::Owned(all))
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(into),
            Self::Spooled { file, .. } => file.read(into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_no_memory_has_room_for_is_an_error() {
        let file = File::open("/dev/null").expect("there");
        let mut body = Body::Spooled {
            file,
            length: u64::MAX,
        };
        let error = body.read_all().expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
