//! The traits that both Kafka clients implement, and the settings of the topic.

use std::time::Duration;

use super::error::EventsError;
use super::event::OutboxEvent;
use crate::settings::ServiceSettings;

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Published {
    /// The ids of the events that the broker has for good.
    pub(crate) acknowledged: Vec<i64>,
    /// Why it is not all of them. The publisher is of no use any more.
    pub(crate) problem: Option<EventsError>,
}

/// Sends events, each under the id of its task.
pub(crate) trait Publisher {
    /// Sends events of different tasks and waits until all replicas have them, or for some seconds.
    fn publish(&mut self, batch: &[OutboxEvent]) -> Published;
}

/// Where a message is in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A message as it came from the broker: anybody may have written it.
#[derive(Debug, Clone)]
pub(crate) struct KafkaMessage {
    pub(crate) position: Position,
    pub(crate) payload: Vec<u8>,
}

/// Gets the messages of a topic for one member of a group. Used by one thread, which polls even
/// while it has no room.
pub(crate) trait Subscriber {
    /// Waits `timeout` at most; brings nothing while there is no `room`.
    fn poll(&mut self, room: bool, timeout: Duration) -> Result<Vec<KafkaMessage>, EventsError>;
    /// Notes for the group that these, and all before them, are done.
    fn commit(&mut self, done: &[Position]) -> Result<(), EventsError>;
}

/// A topic, and the brokers that have it.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) brokers: Vec<String>,
    pub(crate) name: String,
}

impl Topic {
    /// Nothing where no broker is configured.
    pub(crate) fn of(settings: &ServiceSettings) -> Option<Self> {
        let brokers = settings.kafka_brokers.clone();
        (!brokers.is_empty()).then(|| Self {
            brokers,
            name: settings.kafka_topic.clone(),
        })
    }
}
