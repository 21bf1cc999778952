//! What the tests share: a server under test, the clients, and looks into `/proc`.

mod answer;
mod client;
mod deadline;
mod load;
mod log;
mod process;
mod server;
mod teardown;

pub(crate) use answer::Answer;
pub(crate) use client::Client;
pub(crate) use deadline::{PATIENCE, eventually, eventually_within};
pub(crate) use load::{Load, Mode};
pub(crate) use log::Log;
pub(crate) use process::Process;
pub(crate) use server::{Builder, Ended, Server};
