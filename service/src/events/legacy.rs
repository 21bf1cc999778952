//! Publisher and subscriber over the `kafka` crate, for brokers that still support the first versions of the protocol.
//!
//! The crate has no group membership: each runner receives every event, and the leases of the store ensure that one of
//! them does the work. Only the offsets belong to the group. After any error the client is dropped, because it keeps the
//! broken connection.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kafka::client::{FetchOffset, GroupOffsetStorage, KafkaClient, ProduceMessage, RequiredAcks};
use kafka::consumer::Consumer;
use kafka::error::KafkaCode;

use super::partition::partition_of;
use super::probe::offers;
use super::{
    EventsError, KafkaMessage, OutboxEvent, Position, Published, Publisher, Subscriber, Topic,
};

/// How long the partitions of a new topic may take to get their leaders.
const SETTLING: Duration = Duration::from_secs(3);
/// How long the broker may wait for its replicas.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than that we wait for the broker.
const GRACE: Duration = Duration::from_secs(1);
const CLIENT: &str = "oxicorn";
/// A batch of the relay fits. A larger one would never be delivered.
const FETCH_BYTES: i32 = 1 << 20;
const MOST_FETCH_BYTES: i32 = 64 << 20;

/// Works in a thread of its own, which is abandoned if the broker hangs: the crate would wait for two minutes.
pub(crate) struct LegacyPublisher {
    batches: Sender<Vec<OutboxEvent>>,
    outcomes: Receiver<Published>,
}

impl LegacyPublisher {
    pub(crate) fn connect(topic: &Topic) -> Result<Self, EventsError> {
        let (batches, theirs) = channel();
        let (tell, outcomes) = channel();
        let (connected, connecting) = channel();
        let topic = topic.clone();
        thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || match LegacyClient::connect(&topic) {
                Ok(client) => {
                    // If the caller has given up waiting, there will be nothing to send either.
                    let _ = connected.send(Ok(()));
                    client.serve(&theirs, &tell);
                }
                Err(problem) => _ = connected.send(Err(problem)),
            })
            .map_err(EventsError::Thread)?;
        match connecting.recv_timeout(SETTLING + GRACE) {
            Ok(outcome) => outcome?,
            Err(RecvTimeoutError::Timeout) => return Err(EventsError::Unacknowledged),
            Err(RecvTimeoutError::Disconnected) => return Err(EventsError::Panicked),
        }
        Ok(Self { batches, outcomes })
    }
}

impl Publisher for LegacyPublisher {
    fn publish(&mut self, batch: &[OutboxEvent]) -> Published {
        let nothing = |problem| Published {
            acknowledged: Vec::new(),
            problem: Some(problem),
        };
        if self.batches.send(batch.to_vec()).is_err() {
            return nothing(EventsError::Panicked);
        }
        match self.outcomes.recv_timeout(ACK_TIMEOUT + GRACE) {
            Ok(published) => published,
            Err(RecvTimeoutError::Timeout) => nothing(EventsError::Unacknowledged),
            Err(RecvTimeoutError::Disconnected) => nothing(EventsError::Panicked),
        }
    }
}

/// The crate's client in its thread.
struct LegacyClient {
    client: KafkaClient,
    topic: String,
    partitions: u32,
}

impl LegacyClient {
    fn connect(topic: &Topic) -> Result<Self, EventsError> {
        let (client, partitions) = client(topic)?;
        Ok(Self {
            client,
            topic: topic.name.clone(),
            partitions,
        })
    }

    /// Sends batches until the channel is closed.
    fn serve(mut self, batches: &Receiver<Vec<OutboxEvent>>, outcomes: &Sender<Published>) {
        for batch in batches {
            let published = self.send(&batch).unwrap_or_else(|problem| Published {
                acknowledged: Vec::new(),
                problem: Some(problem),
            });
            if outcomes.send(published).is_err() {
                return;
            }
        }
    }

    fn send(&mut self, batch: &[OutboxEvent]) -> Result<Published, EventsError> {
        let placed: Vec<_> = batch
            .iter()
            .map(|event| {
                let key = event.task_id.to_string();
                let partition = partition_of(key.as_bytes(), self.partitions);
                (i32::try_from(partition).unwrap_or(0), key, event)
            })
            .collect();
        let messages = placed.iter().map(|(partition, key, event)| {
            let (key, value) = (key.as_bytes(), event.payload.as_bytes());
            ProduceMessage::new(&self.topic, *partition, Some(key), Some(value))
        });
        let confirms = self
            .client
            .produce_messages(RequiredAcks::All, ACK_TIMEOUT, messages)?;
        // The broker accepts or refuses the events of a partition together.
        let mut took = HashSet::new();
        let mut problem = None;
        for confirm in confirms.iter().flat_map(|one| &one.partition_confirms) {
            match &confirm.offset {
                Ok(_) => _ = took.insert(confirm.partition),
                Err(KafkaCode::MessageSizeTooLarge | KafkaCode::RecordListTooLarge) => {
                    problem = Some(EventsError::TooLarge);
                }
                Err(code) => problem = Some(EventsError::Refused(*code)),
            }
        }
        let acknowledged: Vec<_> = placed
            .iter()
            .filter(|(partition, ..)| took.contains(partition))
            .map(|(.., event)| event.event_id)
            .collect();
        if problem.is_none() && acknowledged.len() < batch.len() {
            problem = Some(EventsError::Unacknowledged);
        }
        Ok(Published {
            acknowledged,
            problem,
        })
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
    fn poll(&mut self, room: bool, timeout: Duration) -> Result<Vec<KafkaMessage>, EventsError> {
        if !room {
            thread::sleep(timeout);
            return Ok(Vec::new());
        }
        let client = self.consumer.client_mut();
        client.set_fetch_max_wait_time(timeout)?;
        let sets = self.consumer.poll()?;
        let messages = sets.iter().flat_map(|set| {
            let partition = set.partition();
            set.messages().iter().map(move |message| KafkaMessage {
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

/// A client that knows the topic, and the number of its partitions. Requesting the metadata of a topic makes the broker
/// create it, if it is allowed to.
fn client(topic: &Topic) -> Result<(KafkaClient, u32), EventsError> {
    let mut client = KafkaClient::new(topic.brokers.clone());
    client.set_client_id(CLIENT.to_owned());
    let deadline = Instant::now() + SETTLING;
    loop {
        client.load_metadata(&[&topic.name]).map_err(closed)?;
        if let Some(partitions) = client.topics().partitions(&topic.name) {
            let leaders: Vec<_> = partitions.iter().filter_map(|one| one.leader()).collect();
            if !leaders.is_empty() && leaders.len() == partitions.len() {
                let hosts: HashSet<&str> = leaders.iter().map(|leader| leader.host()).collect();
                hosts.into_iter().try_for_each(reach)?;
                let count = u32::try_from(leaders.len()).unwrap_or(u32::MAX);
                return Ok((client, count));
            }
        }
        if Instant::now() >= deadline {
            return Err(EventsError::NoTopic(topic.name.clone()));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A broker that has answered the probe and now closes the connection wants something else first, such as a login.
fn closed(error: kafka::Error) -> EventsError {
    match &error {
        kafka::Error::Io(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            EventsError::Closed(error.to_string())
        }
        _ => error.into(),
    }
}

/// Checks that an advertised broker can be reached: the crate would not name the one that cannot.
fn reach(host: &str) -> Result<(), EventsError> {
    let found = offers(host).map(|_| ());
    found.map_err(|source| EventsError::Advertised {
        broker: host.to_owned(),
        source: Box::new(source),
    })
}
