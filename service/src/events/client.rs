//! The traits that both Kafka clients implement, and the settings of the topic.

use std::time::Duration;

use super::error::EventsError;
use super::event::OutboxEvent;
use crate::settings::ServiceSettings;

/// The outcome of a batch.
#[derive(Debug)]
pub(crate) struct Published {
    /// The ids of the events that the broker has acknowledged.
    pub(crate) acknowledged: Vec<i64>,
    /// Why not all of them. The publisher cannot be used any more.
    pub(crate) problem: Option<EventsError>,
}

/// Sends events. The key of each is the id of its task.
pub(crate) trait Publisher {
    /// Sends events of different tasks, and waits until all replicas have them, for some seconds at most.
    fn publish(&mut self, batch: &[OutboxEvent]) -> Published;
}

/// Where a message is in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A message from the broker. Any producer may have written it.
#[derive(Debug, Clone)]
pub(crate) struct KafkaMessage {
    pub(crate) position: Position,
    pub(crate) payload: Vec<u8>,
}

/// Receives the messages of a topic as one member of a group. Used by one thread, which polls even while it has no
/// room.
pub(crate) trait Subscriber {
    /// Waits for `timeout` at most. Returns no messages while there is no `room`.
    fn poll(&mut self, room: bool, timeout: Duration) -> Result<Vec<KafkaMessage>, EventsError>;
    /// Commits for the group that these messages, and all before them, are done.
    fn commit(&mut self, done: &[Position]) -> Result<(), EventsError>;
}

/// A topic and its brokers.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) brokers: Vec<String>,
    pub(crate) name: String,
}

impl Topic {
    /// `None` if no broker is configured.
    pub(crate) fn of(settings: &ServiceSettings) -> Option<Self> {
        let brokers = settings.kafka_brokers.clone();
        (!brokers.is_empty()).then(|| Self {
            brokers,
            name: settings.kafka_topic.clone(),
        })
    }
}
