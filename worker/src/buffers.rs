//! What a request is read into.

use crate::http::Intake;
use crate::inbox::Inbox;

/// The buffers of a request: held while one is in sight, shared out again when the client idles.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) inbox: Inbox,
    pub(crate) intake: Intake,
}

impl Buffers {
    /// The bytes that they have, used or not.
    pub(crate) fn size(&self) -> usize {
        self.inbox.capacity() + self.intake.head.capacity()
    }

    /// Forgets whose they were: a head that was begun must not go on with the next client's bytes.
    pub(crate) fn clear(&mut self) {
        self.inbox.clear();
        self.intake.abandon();
    }
}
