//! Which connections get in, and which go when there is no room.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use log::{debug, warn};

use super::{AWAY, Reactor, TableEntry};
use crate::connection::{Awaited, Connection};
use crate::handoff;

/// How long a client whom a response has invited to go on, or who has just come, is left alone.
const INVITED: Duration = Duration::from_secs(1);
/// Between two looks at the door without being woken for it.
const LOOK_AT_DOOR: Duration = Duration::from_secs(1);
/// When to look again whether somebody waits at the door of a full house.
const FULL: Duration = Duration::from_millis(50);
/// The same where siblings have places.
const LEAVE_IT_TO_SIBLINGS: Duration = Duration::from_millis(10);
/// The same where the process has no descriptors left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

impl Reactor {
    /// Takes in a connection that is new to this worker.
    pub(crate) fn admit(&mut self, mut connection: Box<Connection>) {
        connection.token = self.table.insert(AWAY);
        self.preface.doubt(&mut connection);
        if connection.preface_state.is_some() {
            connection.preface_state = self.preface.first();
        }
        connection.trust.trusted = connection.is_trusted(&self.shared.rules);
        let awaited = match connection.preface_state {
            Some(_) => Awaited::Preface,
            None => Awaited::Head,
        };
        if !connection.keeps_place {
            connection.await_within(awaited, self.now, self.shared.settings.header_timeout);
        }
        self.count_connections();
        match connection.refused.take() {
            Some(error) => self.refuse(connection, &error),
            None => self.place(connection),
        }
    }

    /// Takes up to `most` of the connections that wait at a listener, or one that a sibling gave away.
    pub(super) fn accept(&mut self, index: usize, most: usize) {
        let is_handoff = self.acceptor.is_handoff(index);
        let most = if is_handoff { 1 } else { most };
        for _ in 0..most {
            // What a sibling gave away is not in the way of others: it may wait where it is.
            if !self.has_place() && (is_handoff || !self.can_make_room()) {
                if self.left_to_siblings && !is_handoff {
                    self.give_to_sibling(index);
                }
                break;
            }
            match self.acceptor.accept(index) {
                Ok(Some(connection)) => {
                    if !self.has_place() {
                        self.make_room();
                    }
                    self.note_lack_of_descriptors(false);
                    self.admit(Box::new(connection));
                }
                Ok(None) => break,
                // accept(2) wants a descriptor before it looks whether anybody waits.
                Err(error) if is_out_of_descriptors(&error) && !self.acceptor.knocks(index) => {
                    break;
                }
                Err(error) => {
                    let lacks_descriptors = is_out_of_descriptors(&error);
                    self.note_lack_of_descriptors(lacks_descriptors);
                    if !(lacks_descriptors && self.can_make_room()) {
                        self.warn_of(&error);
                        if !self.left_to_siblings {
                            self.shut(OUT_OF_DESCRIPTORS);
                        }
                        break;
                    }
                    self.make_room();
                }
            }
        }
        if let Err(error) = self.acceptor.go_last(index) {
            warn!("cannot watch a listener: {error}");
        }
    }

    /// Gives the client that waits at a listener to a sibling that has a place: the kernel may have woken this worker
    /// alone for it, and wakes nobody else for a client that waits already.
    fn give_to_sibling(&mut self, index: usize) {
        let Ok(Some(connection)) = self.acceptor.accept(index) else {
            return;
        };
        if handoff::pass(&self.handoff, &connection) {
            self.left_to_siblings = false;
        } else {
            // The queue is full: then there is one more than there are places for.
            self.admit(Box::new(connection));
        }
    }

    /// Looks once a second whether somebody waits at the door: a sibling that was woken for them may be stopped, or
    /// have no descriptor for them.
    pub(super) fn look_at_door(&mut self) -> io::Result<()> {
        if self.now < self.door_due {
            return Ok(());
        }
        self.door_due = self.now + LOOK_AT_DOOR;
        self.acceptor.yield_to_siblings()
    }

    /// Whether the door is open: clients that wait there are worth a look.
    pub(super) fn is_open(&self) -> bool {
        self.drain.is_none() && self.shut_until.is_none_or(|until| self.now >= until)
    }

    /// Whether one more connection fits.
    pub(super) fn has_place(&self) -> bool {
        let adopted = self.shared.adopted.load(Ordering::Relaxed);
        self.table.len() + adopted < self.shared.most_connections
    }

    /// Shuts the door until then, or until a place gets free.
    fn shut(&mut self, timeout: Duration) {
        self.shut_until = Some(self.now + timeout);
    }

    /// Siblings that have no room look here for some.
    fn note_lack_of_descriptors(&self, lacks: bool) {
        self.shared.slot().set_lacks_descriptors(lacks);
    }

    fn warn_of(&mut self, error: &io::Error) {
        if self.now >= self.warn_after {
            self.warn_after = self.now + Duration::from_secs(1);
            warn!(
                "cannot accept: {error}; {} connections are open here. Clients wait until one is closed.",
                self.table.len()
            );
        }
    }

    /// A client waits at the door of a full house: whether a place can be had for it. Where none can, the
    /// next response makes one, unless a sibling has one.
    fn can_make_room(&mut self) -> bool {
        // Once: whoever still waits then has found no place there.
        if !self.left_to_siblings && self.shared.has_sibling_with_room() {
            self.left_to_siblings = true;
            self.shut(LEAVE_IT_TO_SIBLINGS);
            return false;
        }
        self.left_to_siblings = false;
        if self.idlest().is_some() {
            return true;
        }
        self.shared.place_wanted.store(true, Ordering::Relaxed);
        self.shut(FULL);
        false
    }

    /// Closes the connection that has been idle longest.
    fn make_room(&mut self) {
        if let Some(token) = self.idlest()
            && let TableEntry::Here(connection) = std::mem::replace(&mut self.table[token], AWAY)
        {
            debug!("no place for a new connection: closing an idle one");
            self.part(connection);
        }
    }

    /// The connection that has been idle longest, or else the slowest head or preface. A client that was
    /// answered a moment ago, or has come a moment ago, is about to send something.
    fn idlest(&self) -> Option<usize> {
        let idle = self.table.iter().filter_map(|(token, entry)| {
            let TableEntry::Here(it) = entry else {
                return None;
            };
            let rank = match it.awaited {
                Awaited::Request => 0,
                Awaited::Head | Awaited::Preface => u8::from(it.buffers.is_some()),
                _ => return None,
            };
            let since = it.awaited_since;
            let long_enough = self.now.saturating_duration_since(since) >= INVITED;
            long_enough.then_some((rank, since, token))
        });
        let (_, _, token) = idle.min()?;
        let has_input =
            |entry: &TableEntry| matches!(entry, TableEntry::Here(it) if it.transport.has_input());
        (!has_input(&self.table[token])).then_some(token)
    }

    /// Ends a connection and forgets it.
    pub(crate) fn forget(&mut self, mut connection: Box<Connection>) {
        // Closing would neither tell the client nor the poll, where another process has the socket.
        if connection.is_shared() {
            self.unregister(&mut connection);
            connection.transport.shutdown(std::net::Shutdown::Both);
        }
        self.let_go(connection);
    }

    /// Forgets a connection, which may live on in a sibling; dropping the last handle closes the socket.
    pub(crate) fn let_go(&mut self, mut connection: Box<Connection>) {
        if connection.given_up {
            self.given_up -= 1;
        }
        if std::mem::take(&mut connection.adopted) {
            self.shared.adopted.fetch_sub(1, Ordering::SeqCst);
        }
        // The client has gone, or takes nothing any more, in the middle of a response.
        let now = self.now;
        connection.conclude(&self.shared, now);
        if let Some(buffers) = connection.buffers.take() {
            self.spare.keep(buffers);
        }
        if self.table.try_remove(connection.token).is_some() {
            self.shut_until = None;
            self.shared.place_wanted.store(false, Ordering::Relaxed);
            self.note_lack_of_descriptors(false);
            self.count_connections();
        }
    }

    /// Says goodbye to a client that waits for nothing, and forgets it.
    pub(crate) fn part(&mut self, connection: Box<Connection>) {
        connection.transport.finish();
        self.forget(connection);
    }

    pub(super) fn count_connections(&self) {
        self.shared.slot().set_connections(self.table.len());
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
