//! Publishes task events to Kafka, and delivers them to runners.
//!
//! ```text
//!   change --same transaction--> outbox --relay--> Kafka --feed--> runners and other consumers
//! ```
//!
//! Without a broker, runners look for tasks in the store, and old events are dropped. Brokers before and since 4.0
//! need different clients; a probe at each connection picks one.

mod client;
mod connect;
mod error;
mod event;
mod feed;
mod legacy;
#[cfg(test)]
mod measured;
mod modern;
mod partition;
mod probe;
mod relay;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use client::{KafkaMessage, Position, Published, Publisher, Subscriber, Topic};
pub(crate) use error::EventsError;
pub(crate) use event::{EventType, Notice, OutboxEvent, payload, payload_without_id_and_time};
pub(crate) use feed::Feed;
pub(crate) use relay::Relay;
