//! What the server as a whole does: a word of the master's page, which workers answer health checks by.

/// The life of the server after its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    #[default]
    Serving = 0,
    /// It was told to end and waits for `drain_delay`: everything is served, and health checks fail.
    Draining = 1,
    /// Its children drain, and then it ends.
    Stopping = 2,
    /// The same, while another master serves the sockets: to clients, the server does not end.
    HandingOver = 3,
}

impl ServerState {
    /// Whether a balancer should send new clients.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Serving | Self::HandingOver)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping | Self::HandingOver => "stopping",
        }
    }

    /// The state of a word; a number that is none of them counts as the last.
    pub(super) fn of(word: u64) -> Self {
        match word {
            0 => Self::Serving,
            1 => Self::Draining,
            2 => Self::Stopping,
            _ => Self::HandingOver,
        }
    }
}
