//! How a command ends: the exit code, and the error before it.

/// How a command has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum CtlExit {
    Done = 0,
    /// The server has refused, or what was asked for has failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No server answers at the socket, or it is gone before its answer.
    NoServer = 3,
    /// The time of `--timeout` is over.
    TimedOut = 4,
}

/// Why a command has not been done.
#[derive(Debug, thiserror::Error)]
pub(super) enum CtlError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NoServer(String),
    #[error("no answer within {0} s")]
    TimedOut(f64),
    /// The user has left `top`.
    #[error("ended by the user")]
    Left,
}

impl CtlError {
    pub(super) fn exit(&self) -> CtlExit {
        match self {
            Self::Refused(_) => CtlExit::Failed,
            Self::NoServer(_) => CtlExit::NoServer,
            Self::TimedOut(_) => CtlExit::TimedOut,
            Self::Left => CtlExit::Done,
        }
    }
}
