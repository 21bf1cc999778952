//! Readers, changes and outages over a real Redis and a real store.

mod changes;
mod near;
mod outages;
mod reads;
