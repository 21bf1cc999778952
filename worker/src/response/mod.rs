//! Responses on their way to the client.
//!
//! ```text
//!   sent_head      begins a response: the one place where a head is written
//!   writer         head, body and pieces that the client has yet to take
//!   file_parts     content that comes from a file
//!   early_writer   output before the application has returned
//!   access_record  the data that the access log shows of a response
//! ```

mod access_record;
mod early_writer;
mod file_parts;
mod sent_head;
mod writer;

pub(crate) use access_record::{AccessRecord, Arrival};
pub(crate) use early_writer::EarlyWriter;
pub(crate) use file_parts::{FilePart, FileParts};
pub(crate) use writer::{Flushed, LengthError, PieceMade, ResponseWriter};
