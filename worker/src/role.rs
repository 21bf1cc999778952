//! [`WorkerRole`]: whose clients a process serves that runs the worker's code.

use std::time::Duration;

/// For this time after its arrival or after a response, a client is assumed to send something soon.
const INVITED: Duration = Duration::from_secs(1);

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

    /// How long an idle connection keeps its place while another client waits for one. The admin process has few places, and
    /// must answer however many connect and send nothing; its clients send their request at once.
    pub(crate) fn keeps_idle_for(self) -> Duration {
        match self {
            Self::Public => INVITED,
            Self::Admin => Duration::ZERO,
        }
    }

    /// Whether a client that sends a body slowly, or takes a response slowly, keeps its place while another waits for one.
    pub(crate) fn finishes_slow_exchanges(self) -> bool {
        self == Self::Public
    }

    /// Whether others serve the same clients.
    pub(crate) fn has_siblings(self) -> bool {
        self == Self::Public
    }
}
