//! The control socket: gunicorn's protocol, its commands and more.
//!
//! ```text
//!   client --frames--> server --requests--> the master (master/control_commands.rs)
//!                        ^                    |  commands are signals and messages of the supervisor
//!                        '--- answers --------'
//! ```
//!
//! `frame`, `request`, `command` and `session` know the protocol and do no I/O. `listener` and `socket` have the file,
//! `server` the clients, `waits` those whose answer is still to come. `answers` makes the data of `show`.

pub(crate) mod answers;
pub(crate) mod command;
mod config;
pub(crate) mod frame;
mod listener;
pub(crate) mod place;
pub(crate) mod request;
mod server;
mod session;
mod socket;
mod stacks;
mod waits;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::PollFlags;
use oxicorn_common::{Application, Settings};
use serde_json::{Value, json};

use request::ControlRequest;
use server::ControlServer;
use stacks::StackRound;
use waits::{ControlAnswer, Waits};

use crate::generation::Generation;
use crate::supervisor::{ChildId, Event};

pub(crate) use server::ClientId;
pub(crate) use waits::Awaited;

/// Clients that wait keep their places, and some places are for those that ask and go.
const MOST_WAITING: usize = 48;

/// The master's side of the control socket.
pub(crate) struct Control {
    server: ControlServer,
    waits: Waits,
    /// While somebody waits for stacks.
    stacks: Option<StackRound>,
    /// The newest generation's, also when the server stops and generations are gone.
    pub(crate) served: ServedApplication,
}

/// What is served, and how.
#[derive(Clone)]
pub(crate) struct ServedApplication {
    pub(crate) settings: Arc<Settings>,
    pub(crate) application: Arc<dyn Application>,
}

impl ServedApplication {
    /// Its name in the process titles.
    pub(crate) fn name(&self) -> &str {
        let name = self.settings.proc_name.as_deref();
        name.unwrap_or(self.application.name())
    }

    fn of(generation: &Generation) -> Self {
        Self {
            settings: Arc::clone(&generation.settings),
            application: Arc::clone(&generation.application),
        }
    }
}

impl Control {
    /// `suffix` distinguishes the file of a new master from that of the old one.
    pub(crate) fn new(generation: &Generation, suffix: &str) -> Self {
        Self {
            server: ControlServer::new(&generation.settings, suffix),
            waits: Waits::default(),
            stacks: None,
            served: ServedApplication::of(generation),
        }
    }

    /// Where the socket is, if there is one.
    pub(crate) fn path(&self) -> Option<String> {
        let socket = self.server.listener.socket()?;
        Some(socket.path().display().to_string())
    }

    /// The settings or the suffix have changed.
    pub(crate) fn configure(&mut self, newest: &Generation, suffix: &str) {
        let now = Instant::now();
        self.served = ServedApplication::of(newest);
        let settings = &newest.settings;
        self.server.listener.configure(settings, suffix, now);
    }

    /// Removes a file of another master that has left it, beside our own.
    pub(crate) fn remove_left(&self, suffix: &str) {
        self.server.listener.remove_left(suffix);
    }

    /// Whether one more client may wait for its answer.
    pub(crate) fn admits_waiting(&self) -> bool {
        self.waits.clients().len() < MOST_WAITING
    }

    /// What the master has to poll; [`Control::note`] takes the outcome in the same order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.server.sources()
    }

    pub(crate) fn note(&mut self, reported: impl Iterator<Item = PollFlags>) {
        self.server.note(reported);
    }

    /// When [`Control::turn`] is due, even if no client does anything.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let stacks = self.stacks.as_ref().map(StackRound::deadline);
        self.server.deadline(now).into_iter().chain(stacks).min()
    }

    /// The requests since the last call.
    pub(crate) fn turn(&mut self, now: Instant) -> Vec<(ClientId, ControlRequest)> {
        self.server.turn(now)
    }

    pub(crate) fn answer(&mut self, client: ClientId, answer: Result<Value, String>) {
        self.server.answer(client, answer);
    }

    /// The answer comes later.
    pub(crate) fn wait_for(&mut self, client: ClientId, awaited: Awaited) {
        self.waits.add(client, awaited);
    }

    /// Sends what the clients take now, and forgets those that are gone.
    pub(crate) fn flush(&mut self, now: Instant) {
        self.server.flush(now);
        self.waits.retain(|client| self.server.is_waiting(client));
    }

    /// Shows a line of the log to those who wait and want it.
    pub(crate) fn report(&mut self, level: log::Level, text: &str) {
        let clients = self.waits.clients();
        if !clients.is_empty() {
            let level = level.as_str().to_lowercase();
            let data = json!({"level": level, "text": text});
            for client in clients {
                self.server.report(client, &data);
            }
        }
    }

    /// Whether workers have been asked for their stacks, and not all have answered.
    pub(crate) fn awaits_stacks(&self) -> bool {
        self.stacks.is_some()
    }

    /// These workers have been asked for their stacks.
    pub(crate) fn await_stacks(&mut self, round: u64, asked: &[(ChildId, i32)]) {
        self.stacks = Some(StackRound::new(round, asked, Instant::now()));
    }

    /// A worker has sent a message, or has ended.
    pub(crate) fn note_event(&mut self, event: &Event) {
        match (&mut self.stacks, event) {
            (Some(round), Event::Message { id, message }) => round.note(*id, message),
            (Some(round), Event::Exited { id, .. }) => round.note_exit(*id),
            _ => {}
        }
    }

    /// Whether the stacks are there that somebody waits for.
    pub(crate) fn has_stacks(&self) -> bool {
        let round = self.stacks.as_ref();
        round.is_some_and(|round| round.is_over(Instant::now()))
    }

    /// Answers those who wait for stacks. `status` has the threads.
    pub(crate) fn end_stacks(&mut self, status: &Value) {
        if let Some(round) = self.stacks.take() {
            let answers = self.waits.end_stacks(&round.answer(status));
            self.answer_all(answers);
        }
    }

    pub(crate) fn end_reload(&mut self, generation: u32, failure: Option<&str>) {
        let answers = self.waits.end_reload(generation, failure);
        self.answer_all(answers);
    }

    pub(crate) fn end_upgrade(&mut self, outcome: Result<i32, &str>) {
        let answers = self.waits.end_upgrade(outcome);
        self.answer_all(answers);
    }

    /// The server begins to stop, perhaps because of a failure. Clients are still served, until it has ended.
    pub(crate) fn stop(&mut self, failure: Option<&str>) {
        let answers = self.waits.stop(failure);
        self.answer_all(answers);
    }

    /// The server has ended. Clients that do not take their answers at once do not get them.
    pub(crate) fn finish(&mut self, code: i32) {
        let answers = self.waits.finish(code);
        self.answer_all(answers);
        self.server.flush(Instant::now());
        self.server.listener.close();
    }

    fn answer_all(&mut self, answers: Vec<ControlAnswer>) {
        for (client, answer) in answers {
            self.server.answer(client, answer);
        }
    }
}
