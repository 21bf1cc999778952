//! Work that Kafka announces. A message only says which task to look at: the store decides whether it is still to be
//! done, so a message that arrives twice, or at two runners, causes the work once.

use std::time::{Duration, Instant};

use log::debug;
use oxicorn_common::runner::{RUNNER_POLL_INTERVAL, Stop};

use super::{FailureLog, TaskRunner};
use crate::events::{EventType, Feed, KafkaMessage, Notice};
use crate::model::TaskId;
use crate::outages::{Backend, Outages};
use crate::store::{Now, StoreError};

/// How many messages are taken at once. The most urgent of them is done first.
const BATCH: usize = 16;
const TIMEOUT: Duration = Duration::from_millis(250);
/// How often the store is checked for tasks without a message: further attempts, and tasks of dead runners.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// If the message of a task is this late, the task is looked for in the store.
const LATE: Duration = Duration::from_secs(5);

/// The events of a runner, and whether Kafka is down.
#[derive(Debug)]
pub(super) struct KafkaDelivery {
    pub(super) feed: Feed,
    pub(super) outages: Outages,
}

impl TaskRunner {
    /// Does the delivered tasks, and those without a message, until told to stop.
    pub(super) fn follow(&self, delivery: &KafkaDelivery, stop: &Stop) {
        let mut trouble = FailureLog::default();
        let mut look_at = Instant::now();
        // Messages whose work may not be done yet.
        let mut held = Vec::new();
        while !stop.requested() {
            let down = delivery.outages.is_down(Backend::Events);
            if held.is_empty() {
                let timeout = if down { Duration::ZERO } else { TIMEOUT };
                held = delivery.feed.take(BATCH, timeout);
            }
            if down && held.is_empty() {
                self.bell.wait(TIMEOUT);
            }
            let look = down || Instant::now() >= look_at;
            let outcome = self.deliver(&held, stop).and_then(|whole| {
                if whole {
                    delivery.feed.done(&std::mem::take(&mut held));
                }
                match look {
                    true => self.catch_up(down, stop),
                    false => Ok(()),
                }
            });
            if look {
                look_at = Instant::now() + LOOK_AFTER;
            }
            match outcome {
                Ok(()) => trouble.over(),
                Err(problem) => {
                    trouble.with(problem);
                    std::thread::sleep(RUNNER_POLL_INTERVAL);
                }
            }
        }
    }

    /// Does the tasks of these messages, the most urgent first. False if it was told to stop before the last.
    fn deliver(&self, messages: &[KafkaMessage], stop: &Stop) -> Result<bool, StoreError> {
        for id in most_urgent_first(messages) {
            if stop.requested() {
                return Ok(false);
            }
            if let Some(lease) = self.store.take_task_by_id(id, Now::Store)? {
                self.attempt(&lease)?;
                self.bell.ring();
            }
        }
        Ok(true)
    }

    /// Does the tasks without a message. While Kafka is down, that is all of them.
    fn catch_up(&self, down: bool, stop: &Stop) -> Result<(), StoreError> {
        let late = if down { Duration::ZERO } else { LATE };
        while !stop.requested() {
            let Some(lease) = self.store.take_task(Now::Store, late)? else {
                break;
            };
            self.attempt(&lease)?;
            self.bell.ring();
        }
        Ok(())
    }
}

/// The tasks whose creation these messages report.
fn most_urgent_first(messages: &[KafkaMessage]) -> Vec<TaskId> {
    let mut notices: Vec<Notice> = messages
        .iter()
        .filter_map(|message| match serde_json::from_slice(&message.payload) {
            Ok(notice) => Some(notice),
            Err(error) => {
                debug!("A message at {:?} is no event: {error}", message.position);
                None
            }
        })
        .filter(|notice: &Notice| notice.event_type == EventType::Created)
        .collect();
    notices.sort_by_key(|notice| std::cmp::Reverse(notice.priority));
    notices.iter().map(|notice| notice.task_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Position;

    #[test]
    fn the_most_urgent_is_first_and_what_is_no_event_is_passed_over() {
        let payloads = [
            r#"{"eventType":"task_created","taskId":1,"priority":"low"}"#,
            r#"{"eventType":"task_created","taskId":2,"priority":"critical"}"#,
            r#"{"eventType":"task_completed","taskId":3,"priority":"critical"}"#,
            "\u{fffd}",
            r#"{"eventType":"task_created","taskId":4,"priority":"critical"}"#,
        ];
        let messages = payloads.map(|payload| KafkaMessage {
            position: Position {
                partition: 0,
                offset: 0,
            },
            payload: payload.into(),
        });
        assert_eq!(most_urgent_first(&messages), [2, 4, 1]);
    }
}
