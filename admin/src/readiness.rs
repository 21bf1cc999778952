//! Whether the server lives, and whether it should get requests.

use nix::unistd::{Pid, getppid};
use oxicorn_common::Scoreboard;
use oxicorn_common::scoreboard::SlotKind;

/// Why the server should get no requests; `None` if it should.
pub(crate) fn obstacle(scoreboard: &Scoreboard) -> Option<&'static str> {
    let mut children = scoreboard.claimed();
    if !scoreboard.server_state().is_ready() {
        Some("the server drains")
    } else if children.any(|(_, claim, slot)| is_worker(claim.kind()) && slot.is_ready()) {
        None
    } else {
        Some("no worker is ready")
    }
}

/// Whether the master is still the parent of this process.
pub(crate) fn master_lives(master: Pid) -> bool {
    getppid() == master
}

fn is_worker(kind: Option<SlotKind>) -> bool {
    kind == Some(SlotKind::Worker)
}

#[cfg(test)]
mod tests {
    use oxicorn_common::scoreboard::{Claimant, ServerState, SlotState};

    use super::*;

    #[test]
    fn one_ready_worker_is_enough_and_no_other_child_counts() {
        let board = Scoreboard::new().expect("a mapping");
        let claim = |slot, kind| {
            let claimant = Claimant {
                kind,
                age: 1,
                generation: 1,
                threads: 1,
            };
            board.claim(slot, claimant);
        };
        claim(0, SlotKind::Admin);
        board.slot(0).set_state(SlotState::Ready);
        claim(1, SlotKind::Worker);
        assert_eq!(obstacle(&board), Some("no worker is ready"));
        board.slot(1).set_state(SlotState::Ready);
        assert_eq!(obstacle(&board), None);
        board.set_server_state(ServerState::Draining);
        assert_eq!(obstacle(&board), Some("the server drains"));
    }
}
