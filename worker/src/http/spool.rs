//! Keeps a body while it arrives: first in memory, then in an unlinked temporary file if it is too long for that, or
//! if the memory for all bodies is used up.
//!
//! ```text
//!   socket --> the body's own buffer, as long as the body will be          (memory)
//!   socket --> scratch buffer, shared by all that arrive --> file          (file)
//! ```

use std::fs::File;
use std::io::{Cursor, Seek, Write};

use oxicorn_common::body_memory::BodyBuffer;
use oxicorn_common::request::Body;

use super::storage::{BodyStorage, StorageError};

/// Bytes of bodies that are read ahead of their turn, if they may also come later.
const READ_AHEAD: usize = 2 * 1024 * 1024;

/// A body that is still arriving.
#[derive(Debug)]
pub(crate) struct Spool {
    place: SpoolPlace,
    /// The length that the client has announced; 0 if it has not.
    announced: u64,
}

#[derive(Debug)]
enum SpoolPlace {
    Memory(BodyBuffer),
    File {
        file: File,
        /// Octets in the file.
        written: u64,
        /// Octets to be written next: none while the connection waits for its client.
        scratch: Vec<u8>,
    },
}

impl Spool {
    pub(crate) fn new(announced: u64, storage: &BodyStorage) -> Self {
        Self {
            place: SpoolPlace::Memory(storage.memory.buffer()),
            announced,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        match &self.place {
            SpoolPlace::Memory(buffer) => buffer.as_ref().len() as u64,
            SpoolPlace::File {
                written, scratch, ..
            } => written + scratch.len() as u64,
        }
    }

    /// Whether a body of known length, of which nothing has come, should come later. It should if enough whole
    /// requests wait for their turn, because their memory is soon free and still warm in the processor's
    /// cache; or if others are `ahead` that wait for that memory.
    pub(crate) fn can_wait(&mut self, ahead: bool, storage: &BodyStorage) -> bool {
        let (missing, waiting) = (self.missing(), storage.memory.waiting());
        match &mut self.place {
            SpoolPlace::Memory(buffer)
                if self.announced <= storage.most_in_memory && waiting > 0 =>
            {
                let capacity = buffer.bytes_mut().capacity();
                capacity == 0
                    && (ahead
                        || waiting.saturating_add(missing) > READ_AHEAD
                        || !buffer.reserve(missing))
            }
            _ => false,
        }
    }

    /// Room for the next bytes of a body of known length, up to its capacity. It has one byte more than are
    /// missing, because a read that fills its room does not show whether the socket is empty.
    pub(crate) fn room(&mut self, storage: &BodyStorage) -> Result<&mut Vec<u8>, StorageError> {
        self.reserve(self.announced, self.missing(), storage)?;
        Ok(match &mut self.place {
            SpoolPlace::Memory(buffer) => buffer.bytes_mut(),
            SpoolPlace::File { scratch, .. } => scratch,
        })
    }

    /// Takes back the bytes that were read into [`Spool::room`] beyond the end of the body.
    pub(crate) fn cut_excess(&mut self, take: impl FnOnce(&[u8])) {
        let excess = self.length().saturating_sub(self.announced);
        let bytes = match &mut self.place {
            SpoolPlace::Memory(buffer) => buffer.bytes_mut(),
            SpoolPlace::File { scratch, .. } => scratch,
        };
        let excess = usize::try_from(excess).unwrap_or(usize::MAX);
        let end = bytes.len().saturating_sub(excess);
        if end < bytes.len() {
            take(&bytes[end..]);
            bytes.truncate(end);
        }
    }

    pub(crate) fn push(&mut self, data: &[u8], storage: &BodyStorage) -> Result<(), StorageError> {
        let length = self.length() + data.len() as u64;
        match length < self.announced {
            true => self.reserve(self.announced, self.missing(), storage)?,
            false => self.reserve(length, data.len(), storage)?,
        }
        match &mut self.place {
            SpoolPlace::Memory(buffer) => buffer.bytes_mut().extend_from_slice(data),
            SpoolPlace::File { scratch, .. }
                if data.len() <= scratch.capacity() - scratch.len() =>
            {
                scratch.extend_from_slice(data);
            }
            SpoolPlace::File { file, written, .. } => {
                // The scratch buffer was emptied before.
                file.write_all(data)
                    .map_err(|error| storage.file_error(error))?;
                *written += data.len() as u64;
            }
        }
        Ok(())
    }

    /// The caller is about to wait for the client: the scratch buffer is written to the file and returned.
    pub(crate) fn pause(&mut self, storage: &BodyStorage) -> Result<(), StorageError> {
        if let SpoolPlace::File { scratch, .. } = &self.place
            && scratch.capacity() > 0
        {
            self.write_scratch(storage)?;
            if let SpoolPlace::File { scratch, .. } = &mut self.place {
                storage.memory.give_back(std::mem::take(scratch));
            }
        }
        Ok(())
    }

    /// The whole body, positioned at its start.
    pub(crate) fn finish(mut self, storage: &BodyStorage) -> Result<Body, StorageError> {
        self.pause(storage)?;
        Ok(match self.place {
            SpoolPlace::Memory(mut buffer) => {
                buffer.wait();
                Body::Memory(Cursor::new(buffer))
            }
            SpoolPlace::File {
                mut file, written, ..
            } => {
                file.rewind().map_err(|error| storage.file_error(error))?;
                Body::Spooled {
                    file,
                    length: written,
                }
            }
        })
    }

    /// The number of bytes still to come of a body of known length, plus one.
    fn missing(&self) -> usize {
        let missing = self.announced.saturating_sub(self.length());
        usize::try_from(missing).map_or(usize::MAX, |it| it.saturating_add(1))
    }

    /// Makes room for `count` bytes of a body of at least `whole` bytes; in the scratch buffer for as many as it
    /// can hold.
    fn reserve(
        &mut self,
        whole: u64,
        count: usize,
        storage: &BodyStorage,
    ) -> Result<(), StorageError> {
        match &mut self.place {
            SpoolPlace::Memory(buffer) => {
                if whole <= storage.most_in_memory && buffer.reserve(count) {
                    return Ok(());
                }
                match storage.create_file() {
                    Ok(file) => self.move_to(file, storage)?,
                    Err(_) if buffer.reserve(count) => return Ok(()),
                    Err(error) => return Err(storage.no_file(error)),
                }
            }
            SpoolPlace::File { scratch, .. } => {
                if scratch.capacity() - scratch.len() < count {
                    self.write_scratch(storage)?;
                }
            }
        }
        if let SpoolPlace::File { scratch, .. } = &mut self.place
            && scratch.capacity() == 0
        {
            *scratch = storage.memory.scratch();
        }
        Ok(())
    }

    fn move_to(&mut self, mut file: File, storage: &BodyStorage) -> Result<(), StorageError> {
        let SpoolPlace::Memory(buffer) = &self.place else {
            return Ok(());
        };
        let bytes = buffer.as_ref();
        file.write_all(bytes)
            .map_err(|error| storage.file_error(error))?;
        self.place = SpoolPlace::File {
            file,
            written: bytes.len() as u64,
            scratch: Vec::new(),
        };
        Ok(())
    }

    fn write_scratch(&mut self, storage: &BodyStorage) -> Result<(), StorageError> {
        if let SpoolPlace::File {
            file,
            written,
            scratch,
        } = &mut self.place
        {
            file.write_all(scratch)
                .map_err(|error| storage.file_error(error))?;
            *written += scratch.len() as u64;
            scratch.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use oxicorn_common::Settings;

    use super::*;

    fn storage(size: usize, total: usize) -> BodyStorage {
        BodyStorage::from(&Settings {
            body_buffer_size: size,
            body_buffer_total: total,
            ..Settings::default()
        })
    }

    fn read(mut body: Body) -> (bool, Vec<u8>) {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).expect("a readable body");
        (matches!(body, Body::Memory(_)), bytes)
    }

    /// A body of `length` that arrives in pieces of `size`, some of them directly.
    fn spooled(
        storage: &BodyStorage,
        announced: bool,
        length: usize,
        size: usize,
    ) -> (bool, Vec<u8>) {
        let whole: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let announced = if announced { length as u64 } else { 0 };
        let mut spool = Spool::new(announced, storage);
        for (number, piece) in whole.chunks(size).enumerate() {
            if announced > 0 && number % 2 == 1 {
                let mut piece = piece;
                while !piece.is_empty() {
                    let room = spool.room(storage).expect("room");
                    let count = piece.len().min(room.capacity() - room.len());
                    room.extend_from_slice(&piece[..count]);
                    piece = &piece[count..];
                }
            } else {
                spool.push(piece, storage).expect("a place");
            }
            if number % 3 == 2 {
                spool.pause(storage).expect("written");
            }
        }
        assert_eq!(spool.length(), length as u64);
        let (in_memory, bytes) = read(spool.finish(storage).expect("a body"));
        assert_eq!(bytes, whole);
        (in_memory, bytes)
    }

    #[test]
    fn a_body_is_whole_wherever_it_goes() {
        for announced in [true, false] {
            for (length, size) in [(1, 1), (5_000, 7), (100_000, 100_000), (1_000_000, 4_000)] {
                let ample = storage(1 << 20, 1 << 22);
                assert!(spooled(&ample, announced, length, size).0);
                assert_eq!(ample.memory.used(), 0);
                let scarce = storage(1 << 20, 1 << 10);
                assert_eq!(spooled(&scarce, announced, length, size).0, length == 1);
                let none = storage(0, 1 << 22);
                assert!(!spooled(&none, announced, length, size).0);
                assert_eq!((scarce.memory.used(), none.memory.used()), (0, 0));
            }
        }
    }

    #[test]
    fn what_comes_after_the_body_is_not_of_it() {
        for size in [10, 0] {
            let storage = storage(size, 1 << 20);
            let mut spool = Spool::new(4, &storage);
            spool.push(b"bo", &storage).expect("a place");
            let room = spool.room(&storage).expect("room");
            assert!(room.capacity() - room.len() > 2);
            room.extend_from_slice(b"dyGET");
            let mut next = Vec::new();
            spool.cut_excess(|excess| next.extend_from_slice(excess));
            let (_, body) = read(spool.finish(&storage).expect("a body"));
            assert_eq!((&body[..], &next[..]), (&b"body"[..], &b"GET"[..]));
        }
    }

    #[test]
    fn where_no_file_can_be_made_memory_has_to_do() {
        let storage = BodyStorage::from(&Settings {
            body_buffer_size: 10,
            body_buffer_total: 1000,
            tmp_upload_dir: Some("/nonexistent".into()),
            ..Settings::default()
        });
        assert!(spooled(&storage, true, 900, 100).0 && spooled(&storage, false, 900, 100).0);
        let mut spool = Spool::new(0, &storage);
        spool.push(&[b'a'; 900], &storage).expect("room");
        let error = spool.push(&[b'a'; 200], &storage).expect_err("no place");
        let text = error.to_string();
        for part in [
            "/nonexistent",
            "tmp_upload_dir",
            "os error 2",
            "body_buffer_total = 1000",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
