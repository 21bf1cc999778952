//! Events of a server that has no broker. If any server of the same database has ever had one, the events wait for it.
//! Otherwise old ones are dropped. The log reports either.

use std::time::{Duration, Instant};

use log::{info, warn};

use crate::store::{Store, StoreError};

/// How long events are kept if no server has ever had a broker.
const KEPT: Duration = Duration::from_secs(3600);
/// Events dropped per transaction.
const BATCH: usize = 1_000;
/// How often the runner looks for old events.
const LOOK: Duration = Duration::from_secs(60);
/// How often dropped events are logged.
const TELL: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct UnsentEvents {
    looked: Option<Instant>,
    told: Option<Instant>,
    /// Dropped, and not logged yet.
    dropped: usize,
}

impl UnsentEvents {
    pub(super) fn look(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        if self.looked.is_none() {
            tell_of_waiting(store)?;
        }
        loop {
            let dropped = store.drop_events(KEPT, BATCH)?;
            self.dropped += dropped;
            if dropped < BATCH {
                break;
            }
        }
        self.looked = Some(Instant::now());
        if self.dropped > 0 && self.told.is_none_or(|at| at.elapsed() >= TELL) {
            info!(
                "Outbox: {} events older than an hour were dropped: kafka_brokers is not set, and no server of this \
                 database has ever had it, so nobody was to get them",
                std::mem::take(&mut self.dropped)
            );
            self.told = Some(Instant::now());
        }
        Ok(())
    }
}

fn tell_of_waiting(store: &dyn Store) -> Result<(), StoreError> {
    let unsent = store.unsent_events()?;
    if unsent.are_awaited {
        warn!(
            "Outbox: kafka_brokers is not set here, but a server of this database has had it: {} events wait for it, and \
             what happens from now on waits too",
            unsent.count
        );
    }
    Ok(())
}
