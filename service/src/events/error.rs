//! Why events could not be sent or received. The caller tries again.

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
    /// As [`EventsError::Unacknowledged`], with the last error of the client.
    #[error("not every event was acknowledged in time: {0}")]
    Said(String),
    #[error(
        "it answers, and closes the connection at the next request: it may want SASL or TLS, which are not supported ({0})"
    )]
    Closed(String),
    #[error(
        "the brokers send clients to {broker} (advertised.listeners), which cannot be reached: {source}"
    )]
    Advertised {
        broker: String,
        source: Box<EventsError>,
    },
    /// Of one event, or of a batch that may be sent in parts.
    #[error(
        "the broker takes no message so large (message.max.bytes, max.message.bytes of the topic)"
    )]
    TooLarge,
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
