//! Readers, changes and outages over a real Redis and a real store.

mod changes;
mod outages;
mod reads;
