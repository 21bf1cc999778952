//! Reaping: every child of this process that has ended, whoever started it.
//!
//! As pid 1 of a container the master also inherits orphans that it has never heard of; they are
//! reaped without a word.

use oxicorn_common::hooks::Moment;

use crate::master::Master;
use crate::oom::OomWatch;
use crate::supervisor::{ChildId, Death, End, Event, Kind, Succession};
use crate::sys;

impl Master {
    /// The deaths, each after the last words of the dead.
    pub(crate) fn collect_dead(&mut self, succession: Succession) -> Vec<Event> {
        let ended = ended();
        // Among them may be workers that have told of their birth since the last look.
        let mut events = match ended.is_empty() {
            true => Vec::new(),
            false => self.listen_to_molds(),
        };
        let mut ours = 0;
        for (pid, end) in ended {
            let is_mold = self.is_mold(pid);
            let is_successor = succession.successor == Some(pid);
            let id = self.id_of(pid);
            if id.is_none() && !is_mold && !is_successor {
                log::debug!("reaped foreign child {pid}");
                continue;
            }
            ours += 1;
            let death = explain(end, &mut self.oom);
            if is_mold {
                events.extend(self.bury_mold(pid, death));
            }
            if is_successor {
                events.push(self.bury_successor(death));
            }
            let Some(id) = id else { continue };
            if let Some(mut child) = self.children.remove(&id) {
                if child.kind == Kind::Web {
                    self.hooked.tell(Moment::ChildExit { age: id });
                }
                let messages = child.receiver.read().into_iter();
                events.extend(messages.map(|message| Event::Said { id, message }));
                self.shared.scoreboard.fold(child.slot);
            }
            events.push(Event::Died { id, death });
        }
        if ours == 0 {
            self.oom.skip();
        }
        events
    }

    fn id_of(&self, pid: i32) -> Option<ChildId> {
        let mut children = self.children.iter();
        children
            .find(|(_, child)| child.pid == pid)
            .map(|(&id, _)| id)
    }
}

/// Those that have ended, in the order the kernel tells. Never waits.
pub(crate) fn ended() -> Vec<(i32, End)> {
    std::iter::from_fn(sys::reap_one).collect()
}

/// How a child of ours came to its end.
fn explain(end: End, oom: &mut OomWatch) -> Death {
    let signal = libc::SIGKILL;
    let killed = matches!(end, End::Signalled { signal: by, .. } if by == signal);
    let out_of_memory = killed && oom.take();
    Death { end, out_of_memory }
}
