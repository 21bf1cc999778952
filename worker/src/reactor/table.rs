//! The connections of a worker by their tokens. While a request thread has a connection, its entry stays and stores
//! the events of its socket.

use slab::Slab;

use oxicorn_common::scoreboard::ConnectionStates;

use crate::connection::{Connection, ConnectionState};

#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    entries: Slab<TableEntry>,
    /// Those that are here, by [`Place`].
    counts: [usize; 3],
}

/// Where a connection is that the table has.
#[derive(Debug, Clone, Copy)]
enum Place {
    Idle = 0,
    Reading = 1,
    Writing = 2,
}

impl Place {
    /// The same as long as the table has the connection.
    fn of(connection: &Connection) -> Self {
        match connection.state() {
            ConnectionState::Body => Self::Reading,
            ConnectionState::Head | ConnectionState::Preface(_)
                if connection.buffers().is_some() =>
            {
                Self::Reading
            }
            ConnectionState::Sending(_) | ConnectionState::Lingering(_) => Self::Writing,
            _ => Self::Idle,
        }
    }
}

#[derive(Debug)]
enum TableEntry {
    Here(Box<Connection>),
    /// A request thread has it, or it waits for one; the flags collect events of the poll.
    Away {
        readable: bool,
        hung_up: bool,
    },
}

const AWAY: TableEntry = TableEntry::Away {
    readable: false,
    hung_up: false,
};

impl ConnectionTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many connections are where.
    pub(super) fn states(&self) -> ConnectionStates {
        let [idle, reading, writing] = self.counts.map(|count| count as u64);
        ConnectionStates {
            idle,
            reading,
            writing,
            away: (self.len() as u64).saturating_sub(idle + reading + writing),
        }
    }

    /// Makes an entry for a connection, and leaves it empty for now.
    pub(super) fn add(&mut self, connection: &mut Connection) {
        connection.set_token(self.entries.insert(AWAY));
    }

    /// Puts a connection into its entry.
    pub(super) fn put(&mut self, token: usize, connection: Box<Connection>) {
        self.counts[Place::of(&connection) as usize] += 1;
        self.entries[token] = TableEntry::Here(connection);
    }

    /// Takes a connection out of its entry, which remains reserved.
    pub(super) fn take(&mut self, token: usize) -> Option<Box<Connection>> {
        self.take_if(token, |_| true)
    }

    /// As [`ConnectionTable::take`], if the connection is `fit`.
    pub(super) fn take_if(
        &mut self,
        token: usize,
        fit: impl FnOnce(&mut Connection) -> bool,
    ) -> Option<Box<Connection>> {
        let entry = self.entries.get_mut(token)?;
        // Events collected for an absent connection must stay.
        let TableEntry::Here(connection) = entry else {
            return None;
        };
        if !fit(connection) {
            return None;
        }
        match std::mem::replace(entry, AWAY) {
            TableEntry::Here(connection) => {
                self.counts[Place::of(&connection) as usize] -= 1;
                Some(connection)
            }
            TableEntry::Away { .. } => None,
        }
    }

    /// Takes a connection for which the poll has an event, or keeps the event until it returns. A connection that
    /// an earlier event of the same batch has closed has no entry any more.
    pub(super) fn wake(
        &mut self,
        token: usize,
        is_readable: bool,
        is_closed: bool,
    ) -> Option<Box<Connection>> {
        if let Some(TableEntry::Away { readable, hung_up }) = self.entries.get_mut(token) {
            *readable |= is_readable;
            *hung_up |= is_closed;
            return None;
        }
        let mut connection = self.take(token)?;
        connection.note_event(is_readable, is_closed);
        Some(connection)
    }

    /// Passes the collected events to a connection that returns.
    pub(super) fn catch_up(&mut self, token: usize, connection: &mut Connection) {
        if let Some(entry @ TableEntry::Away { .. }) = self.entries.get_mut(token)
            && let TableEntry::Away { readable, hung_up } = std::mem::replace(entry, AWAY)
        {
            connection.note_event(readable, hung_up);
        }
    }

    /// Frees the entry; false if there is none.
    pub(super) fn remove(&mut self, token: usize) -> bool {
        self.entries.try_remove(token).is_some()
    }

    /// The connections that are not with a request thread.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.entries
            .iter()
            .filter_map(|(token, entry)| match entry {
                TableEntry::Here(connection) => Some((token, &**connection)),
                TableEntry::Away { .. } => None,
            })
    }
}
