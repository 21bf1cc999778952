//! Events by way of the `kafka` crate, for brokers that still speak the protocol's first versions.
//!
//! The crate knows no group membership: each runner is given every event, and the leases of the
//! store see to it that one of them does the work. Only the offsets are the group's. After any error
//! a client is useless, because it keeps the broken connection: its owner makes another.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kafka::client::{FetchOffset, GroupOffsetStorage, KafkaClient, ProduceMessage, RequiredAcks};
use kafka::consumer::Consumer;

use super::partition::partition_of;
use super::{EventsError, Message, OutboxEvent, Position, Published, Publisher, Subscriber, Topic};

/// How long a new topic may take to get its leaders.
const SETTLING: Duration = Duration::from_secs(3);
/// How long the broker may wait for its replicas.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const CLIENT: &str = "oxicorn";
/// A batch of the relay fits in: what is larger is never delivered.
const FETCH_BYTES: i32 = 1 << 20;
const MOST_FETCH_BYTES: i32 = 64 << 20;

pub(crate) struct LegacyPublisher {
    client: KafkaClient,
    topic: String,
    partitions: u32,
}

impl LegacyPublisher {
    pub(crate) fn connect(topic: &Topic) -> Result<Self, EventsError> {
        let (client, partitions) = client(topic)?;
        Ok(Self {
            client,
            topic: topic.name.clone(),
            partitions,
        })
    }

    /// Returns the partitions that took their part of the batch.
    fn send(&mut self, placed: &[(i32, String, &OutboxEvent)]) -> Result<Sent, EventsError> {
        let messages = placed.iter().map(|(partition, key, event)| {
            let (key, value) = (key.as_bytes(), event.payload.as_bytes());
            ProduceMessage::new(&self.topic, *partition, Some(key), Some(value))
        });
        let confirms = self
            .client
            .produce_messages(RequiredAcks::All, ACK_TIMEOUT, messages)?;
        let mut sent = Sent::default();
        for confirm in confirms.iter().flat_map(|one| &one.partition_confirms) {
            match &confirm.offset {
                Ok(_) => {
                    sent.partitions.insert(confirm.partition);
                }
                Err(code) => sent.refused = Some(*code),
            }
        }
        Ok(sent)
    }
}

#[derive(Default)]
struct Sent {
    partitions: HashSet<i32>,
    refused: Option<kafka::error::KafkaCode>,
}

impl Publisher for LegacyPublisher {
    fn publish(&mut self, batch: &[OutboxEvent]) -> Published {
        let placed: Vec<_> = batch
            .iter()
            .map(|event| {
                let key = event.task_id.to_string();
                let partition = partition_of(key.as_bytes(), self.partitions);
                (i32::try_from(partition).unwrap_or(0), key, event)
            })
            .collect();
        match self.send(&placed) {
            Ok(sent) => Published {
                acknowledged: placed
                    .iter()
                    .filter(|(partition, ..)| sent.partitions.contains(partition))
                    .map(|(.., event)| event.event_id)
                    .collect(),
                problem: sent.refused.map(EventsError::Refused),
            },
            Err(problem) => Published {
                acknowledged: Vec::new(),
                problem: Some(problem),
            },
        }
    }
}

pub(crate) struct LegacySubscriber {
    consumer: Consumer,
    topic: String,
}

impl LegacySubscriber {
    pub(crate) fn connect(topic: &Topic, group: &str) -> Result<Self, EventsError> {
        let (client, _) = client(topic)?;
        let consumer = Consumer::from_client(client)
            .with_topic(topic.name.clone())
            .with_group(group.to_owned())
            .with_fallback_offset(FetchOffset::Earliest)
            .with_offset_storage(Some(GroupOffsetStorage::Kafka))
            .with_fetch_min_bytes(1)
            .with_fetch_max_bytes_per_partition(FETCH_BYTES)
            .with_retry_max_bytes_limit(MOST_FETCH_BYTES)
            .create()?;
        Ok(Self {
            consumer,
            topic: topic.name.clone(),
        })
    }
}

impl Subscriber for LegacySubscriber {
    fn poll(&mut self, room: bool, patience: Duration) -> Result<Vec<Message>, EventsError> {
        if !room {
            std::thread::sleep(patience);
            return Ok(Vec::new());
        }
        let client = self.consumer.client_mut();
        client.set_fetch_max_wait_time(patience)?;
        let sets = self.consumer.poll()?;
        let messages = sets.iter().flat_map(|set| {
            let partition = set.partition();
            set.messages().iter().map(move |message| Message {
                position: Position {
                    partition,
                    offset: message.offset,
                },
                payload: message.value.to_vec(),
            })
        });
        Ok(messages.collect())
    }

    fn commit(&mut self, done: &[Position]) -> Result<(), EventsError> {
        for Position { partition, offset } in done {
            self.consumer
                .consume_message(&self.topic, *partition, *offset)?;
        }
        Ok(self.consumer.commit_consumed()?)
    }
}

/// A client that knows the topic, and how many partitions that has. To ask for a topic by its name
/// has the broker create it, where it may.
fn client(topic: &Topic) -> Result<(KafkaClient, u32), EventsError> {
    let mut client = KafkaClient::new(topic.brokers.clone());
    client.set_client_id(CLIENT.to_owned());
    let deadline = Instant::now() + SETTLING;
    loop {
        client.load_metadata(&[&topic.name])?;
        if let Some(partitions) = client.topics().partitions(&topic.name) {
            let led = partitions.iter().filter(|one| one.is_available()).count();
            if led > 0 && led == partitions.len() {
                let count = u32::try_from(led).unwrap_or(u32::MAX);
                return Ok((client, count));
            }
        }
        if Instant::now() >= deadline {
            return Err(EventsError::NoTopic(topic.name.clone()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
