//! Decides which connections a worker accepts, and which idle ones it closes for them when it is full.

use std::io;
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::Reactor;
use crate::connection::{Connection, ConnectionState};
use crate::handoff;

/// The interval between two looks at the listeners without a wake-up.
const LOOK_AT_LISTENERS: Duration = Duration::from_secs(1);
/// The time until a full worker looks again whether a client waits at a listener.
const FULL: Duration = Duration::from_millis(50);
/// The same if siblings have places.
const LEAVE_IT_TO_SIBLINGS: Duration = Duration::from_millis(10);
/// The same if the process has no descriptors left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// The rank of connections in the middle of an exchange, which is above that of all idle ones.
const UNFINISHED: u8 = 2;

/// When a worker that was full accepts again.
#[derive(Debug)]
pub(super) struct Pause {
    /// Not before then, unless a place becomes free.
    until: Option<Instant>,
    /// The waiting clients were left to siblings a moment ago.
    left_to_siblings: bool,
    /// When to look at the listeners without a wake-up.
    look_at: Instant,
    /// No warning before then.
    warn_after: Instant,
}

impl Pause {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            until: None,
            left_to_siblings: false,
            look_at: now,
            warn_after: now,
        }
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// A place has become free.
    pub(super) fn end(&mut self) {
        self.until = None;
    }
}

impl Reactor {
    /// Listens, unless the worker drains or pauses. Takes connections that siblings have given away only when a
    /// thread is `free` for them.
    pub(super) fn open_listeners(&mut self, free: bool) -> io::Result<()> {
        let is_over = |until| self.now >= until;
        let accepts = self.drain.is_none() && self.accepting.until.is_none_or(is_over);
        if accepts {
            // With a time in the past the poll would never wait.
            self.accepting.end();
        }
        let takes_over = accepts && free && self.has_place();
        self.acceptor.set_open(accepts, takes_over)
    }

    /// Takes in a connection that is new to this worker.
    pub(crate) fn admit(&mut self, mut connection: Box<Connection>) {
        self.table.add(&mut connection);
        self.preface.verify(&mut connection);
        connection.find_trust(&self.shared.rules);
        let (first, timeout) = (self.preface.first(), self.shared.settings.header_timeout);
        connection.lifecycle_mut().admit(first, self.now, timeout);
        self.count_connections();
        match connection.take_refused() {
            Some(error) => self.refuse(connection, &error),
            None => self.place(connection),
        }
    }

    /// Accepts up to `most` of the connections that wait at a listener, or one that a sibling gave away.
    pub(super) fn accept(&mut self, index: usize, most: usize) {
        let is_handoff = self.acceptor.is_handoff(index);
        let most = if is_handoff { 1 } else { most };
        for _ in 0..most {
            // A connection from a sibling blocks no other: it may stay in the queue.
            if !self.has_place() && (is_handoff || !self.can_make_room()) {
                if self.accepting.left_to_siblings && !is_handoff {
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
                // accept(2) fails without a free descriptor even if no client waits.
                Err(error)
                    if is_out_of_descriptors(&error) && !self.acceptor.has_waiting(index) =>
                {
                    break;
                }
                Err(error) => {
                    let lacks_descriptors = is_out_of_descriptors(&error);
                    self.note_lack_of_descriptors(lacks_descriptors);
                    if !(lacks_descriptors && self.can_make_room()) {
                        self.warn_of(&error);
                        if !self.accepting.left_to_siblings {
                            self.pause(OUT_OF_DESCRIPTORS);
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
    /// alone, and does not wake another for a client that already waits.
    fn give_to_sibling(&mut self, index: usize) {
        let Ok(Some(connection)) = self.acceptor.accept(index) else {
            return;
        };
        if handoff::pass(&self.handoff, &connection) {
            self.accepting.left_to_siblings = false;
        } else {
            // The queue is full: the worker then has one connection more than places.
            self.admit(Box::new(connection));
        }
    }

    /// Looks once per second whether a client waits at a listener, by joining its queue again. The kernel wakes one
    /// process per connection, and that process may have just been killed, be stopped, or have no descriptor left.
    pub(super) fn look_at_listeners(&mut self) -> io::Result<()> {
        if self.now < self.accepting.look_at {
            return Ok(());
        }
        self.accepting.look_at = self.now + LOOK_AT_LISTENERS;
        self.acceptor.yield_to_siblings()
    }

    /// Whether there is a place for one more connection.
    pub(super) fn has_place(&self) -> bool {
        let adopted = self.shared.adoptions.count();
        self.table.len() + adopted < self.shared.most_connections
    }

    /// Accepts nothing for `duration`, or until a place becomes free.
    fn pause(&mut self, duration: Duration) {
        self.accepting.until = Some(self.now + duration);
    }

    /// Siblings without room read this.
    pub(super) fn note_lack_of_descriptors(&self, lacks: bool) {
        self.shared.slot().set_lacks_descriptors(lacks);
    }

    fn warn_of(&mut self, error: &io::Error) {
        if self.now >= self.accepting.warn_after {
            self.accepting.warn_after = self.now + Duration::from_secs(1);
            warn!(
                "cannot accept: {error}; {} connections are open here. Clients wait until one is closed.",
                self.table.len()
            );
        }
    }

    /// A client waits for a place: whether this worker can make one. If it cannot, the next response makes one,
    /// unless a sibling has one.
    fn can_make_room(&mut self) -> bool {
        // Only once: a client that still waits afterwards has found no place there.
        if !self.accepting.left_to_siblings
            && self
                .shared
                .siblings
                .any_with_room(self.shared.most_connections)
        {
            self.accepting.left_to_siblings = true;
            self.pause(LEAVE_IT_TO_SIBLINGS);
            return false;
        }
        self.accepting.left_to_siblings = false;
        if self.idlest().is_some() {
            return true;
        }
        self.shared.set_place_wanted(true);
        self.pause(FULL);
        false
    }

    /// Closes the connection that has been idle longest.
    fn make_room(&mut self) {
        let idlest = self.idlest();
        if let Some(connection) = idlest.and_then(|token| self.table.take(token)) {
            debug!("no place for a new connection: closing an idle one");
            self.say_goodbye(connection);
        }
    }

    /// The connection that has been idle longest, otherwise the slowest head or preface. A client that has just
    /// arrived or got a response is about to send something.
    fn idlest(&self) -> Option<usize> {
        let role = self.shared.role;
        let (least, patient) = (role.keeps_idle_for(), role.finishes_slow_exchanges());
        let idle = self.table.iter().filter_map(|(token, it)| {
            let rank = match it.state() {
                ConnectionState::Idle => 0,
                ConnectionState::Head | ConnectionState::Preface(_) => {
                    u8::from(it.buffers().is_some())
                }
                // Clients that send or take so little that they keep a place: none of that has to be whole.
                ConnectionState::Body | ConnectionState::Lingering(_) if !patient => UNFINISHED,
                ConnectionState::Sending(_) if !patient => UNFINISHED + 1,
                _ => return None,
            };
            let since = it.lifecycle().since();
            let long_enough = self.now.saturating_duration_since(since) >= least;
            long_enough.then_some((rank, since, token, it))
        });
        let (rank, _, token, it) =
            idle.min_by_key(|&(rank, since, token, _)| (rank, since, token))?;
        (rank >= UNFINISHED || !it.transport().socket().has_input()).then_some(token)
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
