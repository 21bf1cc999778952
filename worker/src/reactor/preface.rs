//! Connections on their way through the preface.

use super::Reactor;
use crate::connection::{Awaited, Buffers, Connection, Phase};
use crate::preface::PrefaceOutcome;

/// Handshakes that one turn goes on with. A signature takes up to a few milliseconds, and whoever
/// asks for something meanwhile shall not wait for a crowd that has just come.
pub(super) const HANDSHAKES: usize = 4;

impl Reactor {
    /// Goes on with the preface of a connection; has it back, with its buffers, when requests may
    /// come.
    pub(super) fn open(
        &mut self,
        mut connection: Box<Connection>,
        mut buffers: Box<Buffers>,
    ) -> Option<(Box<Connection>, Box<Buffers>)> {
        let may_shake = self.handshakes_left > 0;
        let passed = self
            .preface
            .advance(&mut connection, &mut buffers, may_shake);
        if may_shake && connection.transport.is_tls() {
            self.handshakes_left -= 1;
        }
        match passed {
            PrefaceOutcome::Through => {
                let timeout = self.shared.settings.header_timeout;
                connection.await_within(Awaited::Head, self.now, timeout);
                return Some((connection, buffers));
            }
            PrefaceOutcome::Waiting => self.wait_for_preface(connection, buffers),
            PrefaceOutcome::Gone => {
                self.spare.keep(buffers);
                self.forget(connection);
            }
            PrefaceOutcome::Refused(error) => {
                connection.buffers = Some(buffers);
                self.refuse(connection, &error);
            }
            PrefaceOutcome::Failed => {
                self.spare.keep(buffers);
                connection.phase = Phase::Lingering;
                self.place(connection);
            }
        }
        None
    }

    fn wait_for_preface(&mut self, mut connection: Box<Connection>, buffers: Box<Buffers>) {
        match buffers.input.is_empty() {
            true => self.spare.keep(buffers),
            false => connection.buffers = Some(buffers),
        }
        self.rest(connection);
    }
}
