//! Keys that this process has changed while it could not reach Redis. Recovery sends their invalidations before this
//! process reads from Redis again.

use std::collections::HashSet;

/// With more keys than this, it is simpler to forget everything.
const MOST: usize = 10_000;

/// A key, and the mark under which its change was announced.
pub(super) type PendingInvalidation = (String, String);

#[derive(Debug, Default)]
pub(super) struct PendingInvalidations {
    invalidations: HashSet<PendingInvalidation>,
    everything: bool,
}

impl PendingInvalidations {
    pub(super) fn add(&mut self, invalidations: impl IntoIterator<Item = PendingInvalidation>) {
        if !self.everything {
            self.invalidations.extend(invalidations);
        }
        if self.invalidations.len() > MOST {
            *self = Self::everything();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        if other.everything {
            *self = Self::everything();
        }
        self.add(other.invalidations);
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.invalidations.is_empty() && !self.everything
    }

    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    pub(super) fn invalidations(&self) -> Vec<&PendingInvalidation> {
        self.invalidations.iter().collect()
    }

    fn everything() -> Self {
        Self {
            invalidations: HashSet::new(),
            everything: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_much_is_everything() {
        let mut pending = PendingInvalidations::default();
        let invalidation = |number: usize| (format!("task:{number}"), "!".to_owned());
        assert!(pending.is_nothing());
        pending.add((0..MOST).map(invalidation));
        pending.add([invalidation(0)]);
        assert!(!pending.is_everything() && pending.invalidations().len() == MOST);
        pending.add([invalidation(MOST)]);
        assert!(
            pending.is_everything() && !pending.is_nothing() && pending.invalidations().is_empty()
        );
        let mut other = PendingInvalidations::default();
        other.add([invalidation(1)]);
        other.merge(pending);
        assert!(other.is_everything());
    }
}
