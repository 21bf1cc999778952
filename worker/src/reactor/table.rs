//! The connections of a worker by their tokens. While a request thread has a connection, its entry stays and stores
//! the events of its socket.

use slab::Slab;

use crate::connection::Connection;

#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    entries: Slab<TableEntry>,
}

#[derive(Debug)]
enum TableEntry {
    Here(Box<Connection>),
    /// With a request thread, or on its way there; what the poll has said of it meanwhile.
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

    /// Gives a connection a place, but does not put it there yet.
    pub(super) fn add(&mut self, connection: &mut Connection) {
        connection.set_token(self.entries.insert(AWAY));
    }

    /// Puts a connection into its place.
    pub(super) fn put(&mut self, token: usize, connection: Box<Connection>) {
        self.entries[token] = TableEntry::Here(connection);
    }

    /// Takes a connection out of its place, which stays its own.
    pub(super) fn take(&mut self, token: usize) -> Option<Box<Connection>> {
        self.take_if(token, |_| true)
    }

    /// As [`ConnectionTable::take`], where the connection is `fit`.
    pub(super) fn take_if(
        &mut self,
        token: usize,
        fit: impl FnOnce(&mut Connection) -> bool,
    ) -> Option<Box<Connection>> {
        let entry = self.entries.get_mut(token)?;
        // What waits for one that is away has to stay.
        let TableEntry::Here(connection) = entry else {
            return None;
        };
        if !fit(connection) {
            return None;
        }
        match std::mem::replace(entry, AWAY) {
            TableEntry::Here(connection) => Some(connection),
            TableEntry::Away { .. } => None,
        }
    }

    /// Takes a connection of which the poll says something, or keeps that until it comes back. One that an
    /// earlier event of the same batch has closed has no place any more.
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

    /// Tells a connection that comes back what the poll has said of it.
    pub(super) fn catch_up(&mut self, token: usize, connection: &mut Connection) {
        if let Some(entry @ TableEntry::Away { .. }) = self.entries.get_mut(token)
            && let TableEntry::Away { readable, hung_up } = std::mem::replace(entry, AWAY)
        {
            connection.note_event(readable, hung_up);
        }
    }

    /// Frees the place; false where there is none.
    pub(super) fn remove(&mut self, token: usize) -> bool {
        self.entries.try_remove(token).is_some()
    }

    /// The connections that are in their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.entries
            .iter()
            .filter_map(|(token, entry)| match entry {
                TableEntry::Here(connection) => Some((token, &**connection)),
                TableEntry::Away { .. } => None,
            })
    }
}
