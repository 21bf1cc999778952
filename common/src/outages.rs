//! Which backends of the application are down, as any child of the server sees it: shared memory,
//! so that the log tells of the beginning and the end of an outage once, however many processes
//! notice.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared_memory::SharedMemory;

/// What an application may lose while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Store = 0,
    Cache = 1,
    Events = 2,
}

/// A word per [`Backend`]: 1 while it is down.
const WORDS: usize = 3;

/// The outages of one server; clones and forked copies share them.
#[derive(Clone)]
pub struct Outages(SharedMemory);

impl Outages {
    pub fn new() -> io::Result<Self> {
        SharedMemory::new(WORDS).map(Self)
    }

    /// Notes that a backend is down. True for the first to notice.
    pub fn begin(&self, backend: Backend) -> bool {
        self.word(backend).swap(1, Ordering::AcqRel) == 0
    }

    /// Notes that a backend works again. True for the first to notice.
    pub fn end(&self, backend: Backend) -> bool {
        self.word(backend).swap(0, Ordering::AcqRel) == 1
    }

    pub fn is_down(&self, backend: Backend) -> bool {
        self.word(backend).load(Ordering::Acquire) == 1
    }

    fn word(&self, backend: Backend) -> &AtomicU64 {
        &self.0[backend as usize]
    }
}

impl fmt::Debug for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let down = |backend| self.is_down(backend);
        f.debug_struct("Outages")
            .field("store", &down(Backend::Store))
            .field("cache", &down(Backend::Cache))
            .field("events", &down(Backend::Events))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_notice_is_told_so() {
        let outages = Outages::new().expect("memory");
        let elsewhere = outages.clone();
        assert!(!outages.end(Backend::Store), "nothing has begun");
        assert!(outages.begin(Backend::Store) && !elsewhere.begin(Backend::Store));
        assert!(elsewhere.is_down(Backend::Store) && !elsewhere.is_down(Backend::Cache));
        assert!(elsewhere.end(Backend::Store) && !outages.end(Backend::Store));
    }
}
