//! Children that are still to be forked. The master forks a few in each turn of its loop: however many are wanted at
//! once, signals, deaths and control clients wait for a few forks only.
//!
//! The supervisor does not know: a fork takes a little longer. A child that is told to end before its turn comes is never
//! forked.

use std::collections::VecDeque;

use crate::supervisor::{ChildId, SpawnRequest};

/// How many children are forked in one turn. Each fork takes about a millisecond.
pub(crate) const FORKS_PER_TURN: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct ForkQueue(VecDeque<SpawnRequest>);

impl ForkQueue {
    pub(crate) fn push(&mut self, request: SpawnRequest) {
        self.0.push_back(request);
    }

    /// The child that has waited longest.
    pub(crate) fn next(&mut self) -> Option<SpawnRequest> {
        self.0.pop_front()
    }

    pub(crate) fn has(&self, id: ChildId) -> bool {
        self.0.iter().any(|request| request.id == id)
    }

    /// Does without a child. False if it does not wait here.
    pub(crate) fn cancel(&mut self, id: ChildId) -> bool {
        let before = self.0.len();
        self.0.retain(|request| request.id != id);
        self.0.len() < before
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::ChildKind;

    #[test]
    fn children_come_in_their_order_and_a_cancelled_one_never() {
        let mut queue = ForkQueue::default();
        for id in 1..=4 {
            queue.push(SpawnRequest {
                id,
                kind: ChildKind::Web,
                slot: 0,
                generation: 1,
            });
        }
        assert!(queue.has(2) && queue.cancel(2));
        assert!(!queue.has(2) && !queue.cancel(2) && !queue.cancel(9));
        let mut ids = Vec::new();
        while let Some(request) = queue.next() {
            ids.push(request.id);
        }
        assert_eq!(ids, [1, 3, 4]);
        assert!(queue.is_empty());
    }
}
