//! Why events could not be sent or had. The one who waits for them tries again.

use std::io;

#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    #[error("cannot reach {broker}: {source}")]
    Unreachable { broker: String, source: io::Error },
    #[error("what {0} says is not Kafka's protocol")]
    NotKafka(String),
    #[error("the topic {0} does not exist and was not created by the broker: create it")]
    NoTopic(String),
    #[error("not every event was acknowledged in time")]
    Unacknowledged,
    #[error("{0}")]
    Legacy(#[from] kafka::Error),
    #[error("refused: {0:?}")]
    Refused(kafka::error::KafkaCode),
    #[error("{0}")]
    Modern(#[from] rdkafka::error::KafkaError),
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("the client of old brokers panicked")]
    Panicked,
}
