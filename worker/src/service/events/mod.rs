//! What happens to tasks, and who is told of it.
//!
//! ```text
//!   change --same transaction--> outbox --relay--> Kafka --> runners, and whoever else listens
//! ```
//!
//! Without a broker the outbox is emptied, and the runners look at the tasks themselves.

mod event;

pub(crate) use event::{EventType, OutboxEvent, payload, payload_without_id};
