//! Publisher and subscriber over `rdkafka`, for current brokers; it works with older ones too.
//!
//! The client runs threads of its own and reconnects by itself. Its log is dropped, except for the last reason why it
//! fails: the relay reports an outage once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::probe::probe;
use super::{
    EventsError, KafkaMessage, OutboxEvent, Position, Published, Publisher, Subscriber, Topic,
};

/// How long an event may take until it is acknowledged.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// The client itself gives up earlier; this is in case it does not.
const ACK_GRACE: Duration = Duration::from_secs(1);
/// Far longer than the time between two polls: `Feed` polls many times per second.
const SESSION: Duration = Duration::from_secs(6);

/// Records which events the broker has acknowledged, and the last error.
#[derive(Default)]
struct Reports {
    report: Mutex<Report>,
    said: Mutex<Option<String>>,
}

#[derive(Default)]
struct Report {
    answered: usize,
    acknowledged: Vec<i64>,
    refused: Option<KafkaError>,
}

impl ClientContext for Reports {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // It only follows the errors that are the reason.
        let is_summary = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        if !is_summary || said.is_none() {
            *said = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, event: Self::DeliveryOpaque) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.answered += 1;
        match result {
            Ok(_) => report.acknowledged.push(*event),
            Err((error, _)) => report.refused = Some(error.clone()),
        }
    }
}

pub(crate) struct ModernPublisher {
    producer: BaseProducer<Reports>,
    topic: Topic,
}

impl ModernPublisher {
    pub(crate) fn connect(topic: &Topic) -> Result<Self, EventsError> {
        let mut config = config(topic);
        // In order and without duplicates within one session; acks=all.
        config.set("enable.idempotence", "true");
        config.set("partitioner", "murmur2_random");
        // A batch is complete when it is sent: there is nothing to wait for.
        config.set("linger.ms", "0");
        config.set("message.timeout.ms", ACK_TIMEOUT.as_millis().to_string());
        config.set("request.timeout.ms", ACK_TIMEOUT.as_millis().to_string());
        // A topic that the broker creates now exists within that time.
        config.set(
            "topic.metadata.propagation.max.ms",
            (ACK_TIMEOUT / 2).as_millis().to_string(),
        );
        Ok(Self {
            producer: config.create_with_context(Reports::default())?,
            topic: topic.clone(),
        })
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        let report = &self.producer.context().report;
        report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn explain(&self, error: KafkaError) -> EventsError {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition,
            ) => EventsError::NoTopic(self.topic.name.clone()),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => EventsError::TooLarge,
            Some(RDKafkaErrorCode::MessageTimedOut) => self.last_word(),
            _ => error.into(),
        }
    }

    /// Why nothing was acknowledged: an error of the topic, or else the last error of the client.
    fn last_word(&self) -> EventsError {
        let asked = self
            .producer
            .client()
            .fetch_metadata(Some(&self.topic.name), ACK_GRACE);
        let said = &self.producer.context().said;
        let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = match asked {
            Ok(found) => found,
            // `ApiVersions` is the one request that a broker answers before a login.
            Err(error) if probe(&self.topic.brokers).is_ok() => {
                return EventsError::Closed(said.unwrap_or_else(|| error.to_string()));
            }
            Err(_) => return said.map_or(EventsError::Unacknowledged, EventsError::Said),
        };
        let problem = found.topics().first().and_then(|topic| topic.error());
        match problem.map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                EventsError::NoTopic(self.topic.name.clone())
            }
            Some(code) => EventsError::Said(code.to_string()),
            None => said.map_or(EventsError::Unacknowledged, EventsError::Said),
        }
    }
}

impl Publisher for ModernPublisher {
    fn publish(&mut self, batch: &[OutboxEvent]) -> Published {
        *self.report() = Report::default();
        let deadline = Instant::now() + ACK_TIMEOUT + ACK_GRACE;
        let mut problem = None;
        let mut sent = 0;
        for event in batch {
            let key = event.task_id.to_string();
            let record = BaseRecord::with_opaque_to(&self.topic.name, Box::new(event.event_id))
                .key(&key)
                .payload(&event.payload);
            match self.producer.send(record) {
                Ok(()) => sent += 1,
                Err((error, _)) => {
                    problem = Some(self.explain(error));
                    break;
                }
            }
        }
        while self.report().answered < sent && Instant::now() < deadline {
            // It waits for the whole time, whatever arrives.
            self.producer.poll(Duration::from_millis(1));
        }
        let report = std::mem::take(&mut *self.report());
        if problem.is_none() && report.acknowledged.len() < batch.len() {
            let refused = report.refused.map(|error| self.explain(error));
            problem = Some(refused.unwrap_or_else(|| self.last_word()));
        }
        Published {
            acknowledged: report.acknowledged,
            problem,
        }
    }
}

/// Drops the client's log.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Quiet {}

pub(crate) struct ModernSubscriber {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    paused: bool,
}

impl ModernSubscriber {
    pub(crate) fn connect(topic: &Topic, group: &str) -> Result<Self, EventsError> {
        let mut config = config(topic);
        config.set("group.id", group);
        config.set("auto.offset.reset", "earliest");
        config.set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "false");
        config.set("allow.auto.create.topics", "true");
        config.set("session.timeout.ms", SESSION.as_millis().to_string());
        config.set(
            "heartbeat.interval.ms",
            (SESSION.as_millis() / 4).to_string(),
        );
        // How soon a topic is found that is created later.
        config.set("topic.metadata.refresh.interval.ms", "5000");
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet)?;
        consumer.subscribe(&[&topic.name])?;
        Ok(Self {
            consumer,
            topic: topic.name.clone(),
            paused: false,
        })
    }

    /// Pauses or resumes fetching. A paused client must still be polled.
    fn pause(&mut self, pause: bool) -> Result<(), EventsError> {
        if pause == self.paused {
            return Ok(());
        }
        let assigned = self.consumer.assignment()?;
        match pause {
            true => self.consumer.pause(&assigned)?,
            false => self.consumer.resume(&assigned)?,
        }
        self.paused = pause;
        Ok(())
    }
}

impl Subscriber for ModernSubscriber {
    fn poll(&mut self, room: bool, timeout: Duration) -> Result<Vec<KafkaMessage>, EventsError> {
        self.pause(!room)?;
        match self.consumer.poll(timeout) {
            None => Ok(Vec::new()),
            Some(Ok(message)) => {
                // A partition that was assigned since the pause is not paused.
                self.paused &= room;
                Ok(vec![KafkaMessage {
                    position: Position {
                        partition: message.partition(),
                        offset: message.offset(),
                    },
                    payload: message.payload().unwrap_or_default().to_vec(),
                }])
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(error.into()),
            // The client continues by itself.
            Some(Err(_)) => Ok(Vec::new()),
        }
    }

    fn commit(&mut self, done: &[Position]) -> Result<(), EventsError> {
        let mut next: HashMap<i32, i64> = HashMap::new();
        for Position { partition, offset } in done {
            let at = next.entry(*partition).or_insert(0);
            *at = (*at).max(offset + 1);
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in next {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
        }
        Ok(self.consumer.commit(&list, CommitMode::Async)?)
    }
}

fn config(topic: &Topic) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", topic.brokers.join(","));
    config.set("client.id", "oxicorn");
    config.set("socket.keepalive.enable", "true");
    config.set("reconnect.backoff.max.ms", "1000");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}
