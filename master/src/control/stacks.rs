//! [`StackRound`]: one round of asking workers for the stacks of their threads. A worker that does not answer is no reason
//! to wait for ever, and one that sends too much is not kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use oxicorn_common::Message;
use oxicorn_common::message::StackPart;
use serde_json::{Value, json};

use crate::supervisor::ChildId;

/// Naming native functions takes seconds where there is much debug information.
const PATIENCE: Duration = Duration::from_secs(25);
/// Of all texts of a round, in octets: less than a frame may have, however they are escaped.
const MOST_TEXT: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct StackRound {
    number: u64,
    asked: BTreeMap<ChildId, AskedWorker>,
    octets: usize,
    deadline: Instant,
}

#[derive(Debug)]
struct AskedWorker {
    pid: i32,
    is_done: bool,
    /// By the index of the thread, of those that ran something.
    threads: BTreeMap<usize, StackedThread>,
}

/// What a worker has told of one thread, all of the same moment.
#[derive(Debug, Default)]
struct StackedThread {
    /// Its state and its request.
    status: Value,
    application: Option<String>,
    native: Option<String>,
}

impl StackRound {
    pub(crate) fn new(number: u64, asked: &[(ChildId, i32)], now: Instant) -> Self {
        let worker = |&(id, pid): &(ChildId, i32)| {
            let worker = AskedWorker {
                pid,
                is_done: false,
                threads: BTreeMap::new(),
            };
            (id, worker)
        };
        Self {
            number,
            asked: asked.iter().map(worker).collect(),
            octets: 0,
            deadline: now + PATIENCE,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A worker has sent a part of its answer.
    pub(crate) fn note(&mut self, id: ChildId, message: &Message) {
        let Some(worker) = self.asked.get_mut(&id).filter(|it| !it.is_done) else {
            return;
        };
        match message {
            Message::Stacked { round } if *round == self.number => worker.is_done = true,
            Message::Stack {
                round,
                index,
                part,
                text,
            } if *round == self.number && self.octets + text.len() <= MOST_TEXT => {
                self.octets += text.len();
                let thread = worker.threads.entry(*index).or_default();
                match part {
                    StackPart::Request => {
                        thread.status = serde_json::from_str(text).unwrap_or_default();
                    }
                    StackPart::Application => thread.application = Some(text.clone()),
                    StackPart::Native => thread.native = Some(text.clone()),
                }
            }
            _ => {}
        }
    }

    /// A worker has ended.
    pub(crate) fn note_exit(&mut self, id: ChildId) {
        self.asked.remove(&id);
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline || self.asked.values().all(|worker| worker.is_done)
    }

    /// The workers, each thread with its stacks. `status` is of now, and the stacks are of a moment before.
    pub(crate) fn answer(&self, status: &Value) -> Value {
        let workers = self.asked.values().map(|worker| {
            let shown = status["workers"].as_array().into_iter().flatten();
            let shown = shown.into_iter().find(|it| it["pid"] == worker.pid);
            let threads = shown.and_then(|it| it["threads"].as_array());
            let threads = threads.into_iter().flatten().enumerate();
            let threads: Vec<Value> = threads
                .map(|(index, now)| worker.thread(index, now))
                .collect();
            json!({
                "pid": worker.pid,
                "generation": shown.map(|it| &it["generation"]),
                "answered": worker.is_done,
                "threads": threads,
            })
        });
        json!({"workers": workers.collect::<Vec<_>>()})
    }
}

impl AskedWorker {
    /// `now` is its present state, which is all that is known if the worker has not answered.
    fn thread(&self, index: usize, now: &Value) -> Value {
        let state = match now["state"].as_str() {
            Some("reserve") => "reserve",
            _ => "idle",
        };
        let idle = json!({"state": state, "request": null});
        let told = self.threads.get(&index);
        let then = match told {
            Some(told) => &told.status,
            None if self.is_done => &idle,
            None => now,
        };
        json!({
            "index": index,
            "state": then["state"],
            "request": then["request"],
            "application": told.map(|it| &it.application),
            "native": told.map(|it| &it.native),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(round: u64, text: &str) -> Message {
        Message::Stack {
            round,
            index: 1,
            part: StackPart::Native,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_round_is_over_when_all_that_live_have_answered() {
        let now = Instant::now();
        let mut round = StackRound::new(3, &[(1, 101), (2, 102)], now);
        round.note(1, &stack(3, "main"));
        round.note(1, &stack(2, "of the round before"));
        round.note(9, &stack(3, "of nobody"));
        round.note(1, &Message::Stacked { round: 3 });
        round.note(1, &stack(3, "after its end"));
        assert!(!round.is_over(now));
        round.note_exit(2);
        assert!(round.is_over(now));
        let thread = json!({"state": "running", "request": null});
        let status =
            json!({"workers": [{"pid": 101, "generation": 1, "threads": [thread, thread]}]});
        let answer = round.answer(&status);
        let worker = &answer["workers"][0];
        assert_eq!(
            (&worker["pid"], &worker["answered"]),
            (&101.into(), &true.into())
        );
        assert_eq!(worker["threads"][0]["native"], Value::Null);
        assert_eq!(worker["threads"][1]["native"], "main");
    }

    /// The answer of the slowest worker may come much later, and the threads of the others run something else then.
    #[test]
    fn a_stack_keeps_its_request() {
        let mut round = StackRound::new(1, &[(1, 101), (2, 102)], Instant::now());
        round.note(
            1,
            &Message::Stack {
                round: 1,
                index: 1,
                part: StackPart::Request,
                text: json!({"state": "running", "request": {"path": "/then"}}).to_string(),
            },
        );
        round.note(1, &stack(1, "main"));
        round.note(1, &Message::Stacked { round: 1 });
        let thread = json!({"state": "running", "request": {"path": "/now"}});
        let worker = |pid: i32| json!({"pid": pid, "threads": [thread, thread]});
        let answer = round.answer(&json!({"workers": [worker(101), worker(102)]}));
        let threads = &answer["workers"][0]["threads"];
        assert_eq!(threads[0]["state"], "idle", "it ran nothing then");
        assert_eq!(threads[1]["request"]["path"], "/then");
        let silent = &answer["workers"][1]["threads"];
        assert_eq!(silent[0]["request"]["path"], "/now");
    }

    #[test]
    fn silence_and_floods_have_a_limit() {
        let now = Instant::now();
        let mut round = StackRound::new(1, &[(1, 101)], now);
        for _ in 0..1000 {
            round.note(1, &stack(1, &"x".repeat(10_000)));
        }
        assert!(round.octets <= MOST_TEXT);
        assert!(!round.is_over(now));
        assert!(round.is_over(round.deadline()));
        let answer = round.answer(&json!({}));
        assert_eq!(answer["workers"][0]["answered"], false);
    }
}
