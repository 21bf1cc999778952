//! Which backends are down, in shared memory. However many processes notice an outage, the log reports its beginning and
//! its end once.

use std::sync::atomic::{AtomicU64, Ordering};

use oxicorn_common::{SharedMemory, WorkerContext};

use super::shared_words::OUTAGES;

/// The backends that may fail while the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Store = 0,
    Cache = 1,
    Events = 2,
}

/// One word per [`Backend`]: 1 while it is down. Clones and forked copies are the same words.
#[derive(Debug, Clone)]
pub(crate) struct Outages(SharedMemory);

impl Outages {
    pub(crate) fn of(context: &WorkerContext) -> Self {
        Self(context.shared_memory.clone())
    }

    /// Notes that a backend is down. True for the first to notice.
    pub(crate) fn begin(&self, backend: Backend) -> bool {
        self.word(backend).swap(1, Ordering::AcqRel) == 0
    }

    /// Notes that a backend works again. True for the first to notice.
    pub(crate) fn end(&self, backend: Backend) -> bool {
        self.word(backend).swap(0, Ordering::AcqRel) == 1
    }

    pub(crate) fn is_down(&self, backend: Backend) -> bool {
        self.word(backend).load(Ordering::Acquire) == 1
    }

    fn word(&self, backend: Backend) -> &AtomicU64 {
        &self.0[OUTAGES][backend as usize]
    }
}

#[cfg(test)]
impl Outages {
    /// The outages of a new server.
    pub(crate) fn new() -> Self {
        Self(SharedMemory::new(super::shared_words::WORDS).expect("memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_notice_is_told_so() {
        let outages = Outages::new();
        let elsewhere = outages.clone();
        assert!(!outages.end(Backend::Store), "nothing has begun");
        assert!(outages.begin(Backend::Store) && !elsewhere.begin(Backend::Store));
        assert!(elsewhere.is_down(Backend::Store) && !elsewhere.is_down(Backend::Cache));
        assert!(elsewhere.end(Backend::Store) && !outages.end(Backend::Store));
    }
}
