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
    /// By the index of the thread: the application's own stack, and the native one.
    stacks: BTreeMap<usize, [Option<String>; 2]>,
}

impl StackRound {
    pub(crate) fn new(number: u64, asked: &[(ChildId, i32)], now: Instant) -> Self {
        let worker = |&(id, pid): &(ChildId, i32)| {
            let worker = AskedWorker {
                pid,
                is_done: false,
                stacks: BTreeMap::new(),
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
                let place = match part {
                    StackPart::Application => 0,
                    StackPart::Native => 1,
                };
                worker.stacks.entry(*index).or_default()[place] = Some(text.clone());
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

    /// The workers as `status` shows them, each thread with its stacks.
    pub(crate) fn answer(&self, status: &Value) -> Value {
        let workers = self.asked.values().map(|worker| {
            let shown = status["workers"].as_array().into_iter().flatten();
            let shown = shown.into_iter().find(|it| it["pid"] == worker.pid);
            let threads = shown.and_then(|it| it["threads"].as_array());
            let threads: Vec<Value> = threads
                .into_iter()
                .flatten()
                .enumerate()
                .map(|(index, thread)| {
                    let stacks = worker.stacks.get(&index).cloned().unwrap_or_default();
                    let [application, native] = stacks;
                    json!({
                        "index": index,
                        "state": thread["state"],
                        "request": thread["request"],
                        "application": application,
                        "native": native,
                    })
                })
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
