//! The access log's lines: a format is parsed once, and each request is rendered with it.
//!
//! ```text
//!   text --parse--> AccessFormat: parts --render(AccessEntry)--> line
//! ```

mod atom;
mod basic_auth;
mod entry;
mod entry_object;
mod format;
mod format_part;
mod json;
mod named_atoms;

pub use entry::AccessEntry;
pub use format::{AccessFormat, AccessFormatError};
pub use named_atoms::AtomValue;
