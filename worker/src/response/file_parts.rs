//! [`FileParts`]: content that comes from a file without passing through this process, in one part or several.

use std::collections::VecDeque;
use std::fs::File;

use oxicorn_common::response::FileRange;

/// A file, and the parts of it that are yet to be sent.
#[derive(Debug)]
pub(crate) struct FileParts {
    pub(crate) file: File,
    pub(crate) parts: VecDeque<FilePart>,
}

/// Octets, and those of a file that follow them.
#[derive(Debug)]
pub(crate) struct FilePart {
    pub(crate) before: Vec<u8>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl FileParts {
    /// In all parts.
    pub(crate) fn octets(&self) -> u64 {
        self.parts.iter().map(FilePart::octets).sum()
    }

    /// The next part, with the file in it. What is left of the parts gets the file back when that has been sent.
    pub(super) fn begin(self) -> (Option<(Vec<u8>, FileRange)>, VecDeque<FilePart>) {
        let Self { file, mut parts } = self;
        let first = parts.pop_front().map(|part| {
            let range = FileRange {
                file,
                offset: part.offset,
                length: part.length,
            };
            (part.before, range)
        });
        (first, parts)
    }
}

impl FilePart {
    pub(crate) fn octets(&self) -> u64 {
        self.before.len() as u64 + self.length
    }
}
