//! [`WorkerRole`]: whose clients a process serves that runs the worker's code.

/// Whose clients a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerRole {
    /// Those of the server, together with its siblings.
    Public,
    /// Those of the admin process, which shares nothing with another process.
    Admin,
}

impl WorkerRole {
    /// At the beginning of a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Public => "Worker",
            Self::Admin => "Admin process",
        }
    }

    /// Whether others serve the same clients.
    pub(crate) fn has_siblings(self) -> bool {
        self == Self::Public
    }
}
