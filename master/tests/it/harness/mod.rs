//! What the tests share: a server under test, its clients, and `/proc`.

mod answer;
mod authority;
mod backends;
mod bouncer;
mod client;
mod controller;
mod database;
mod deadline;
mod keyspace;
mod load;
mod log;
mod process;
mod proxy;
mod receiver;
mod server;
mod services;
mod teardown;
mod topic;

pub(crate) use answer::Answer;
pub(crate) use authority::{Authority, Identity};
pub(crate) use backends::{Backends, CacheKind, EventsKind, StoreKind};
pub(crate) use bouncer::Bouncer;
pub(crate) use client::Client;
pub(crate) use controller::{Controller, PLACE};
pub(crate) use database::Database;
pub(crate) use deadline::{TIMEOUT, eventually, eventually_step_by_step, eventually_within};
pub(crate) use keyspace::Keyspace;
pub(crate) use load::{Load, Mode};
pub(crate) use log::Log;
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;
pub(crate) use receiver::Receiver;
pub(crate) use server::{Builder, Ended, Server};
pub(crate) use services::Services;
pub(crate) use topic::{Generation, Listener, Message, Topic};
