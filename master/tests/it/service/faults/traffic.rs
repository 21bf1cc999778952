//! Clients that create, read and cancel tasks during a fault, and hold each request to a deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, eventually_step_by_step};
use crate::service::work::PNG;
use crate::service::{BASE, JSON};

const CLIENTS: u64 = 4;
/// Between two requests of a client, so that the runner can keep up.
const PAUSE: Duration = Duration::from_millis(15);

/// The failures that a fault may cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// None: the service works without the backend.
    Nothing,
    /// 503 with `Retry-After`, and 500 `OUTCOME_UNKNOWN`.
    Refusals,
    /// 504, connections that end without an answer, and all of the above.
    Deaths,
}

/// The results of the clients.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Tasks that were answered 201.
    pub(super) created: Vec<i64>,
    /// Tasks whose cancellation was answered 200.
    pub(super) cancelled: Vec<i64>,
    pub(super) refused: u64,
    pub(super) unanswered: u64,
    /// Failures that the fault may not cause.
    pub(super) broken: Vec<String>,
    /// How long the requests took since the last report.
    times: Vec<Duration>,
}

#[derive(Debug)]
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// No request may take longer than `deadline`.
    pub(super) fn start(server: &Server, deadline: Duration, tolerance: Tolerance) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let report = Arc::new(Mutex::new(Report::default()));
        let clients = (1..=CLIENTS).map(|number| {
            let mut visitor = Visitor {
                address: server.address(),
                deadline,
                tolerance,
                stop: Arc::clone(&stop),
                report: Arc::clone(&report),
                client: None,
                random: number,
            };
            thread::spawn(move || visitor.visit())
        });
        let clients = clients.collect();
        let traffic = Self {
            stop,
            report,
            clients,
        };
        traffic.wait_for_more(20);
        traffic
    }

    /// Waits until `count` more tasks have been created.
    pub(super) fn wait_for_more(&self, tasks: usize) {
        let aim = self.report().created.len() + tasks;
        eventually_step_by_step("tasks are created", || {
            let report = self.report();
            let created = report.created.len();
            let is_over = created >= aim || !report.broken.is_empty();
            if is_over { Ok(()) } else { Err(created) }
        });
    }

    /// Waits until `count` more requests were refused or got no answer.
    pub(super) fn wait_for_refusals(&self, requests: u64) {
        let of = |report: &Report| report.refused + report.unanswered;
        let aim = of(&self.report()) + requests;
        eventually_step_by_step("requests are refused", || {
            let report = self.report();
            let is_over = of(&report) >= aim || !report.broken.is_empty();
            if is_over { Ok(()) } else { Err(of(&report)) }
        });
    }

    /// Waits for a while, and writes the times of the requests to `figures`.
    pub(super) fn go_on_for(&self, time: Duration, figures: &str) {
        self.report().times.clear();
        thread::sleep(time);
        let mut times = std::mem::take(&mut self.report().times);
        times.sort();
        let at = |per_mille: usize| times.get((times.len() * per_mille) / 1000);
        let (half, most, all) = (at(500), at(990), times.last());
        println!(
            "{figures}: {} requests, median {half:?}, 99 % {most:?}, slowest {all:?}",
            times.len()
        );
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends after the requests under way.
    pub(super) fn stop(mut self) -> Report {
        self.end();
        std::mem::take(&mut *self.report())
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let outcome = client.join();
            assert!(outcome.is_ok() || thread::panicking(), "a client panicked");
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

struct Visitor {
    address: SocketAddr,
    deadline: Duration,
    tolerance: Tolerance,
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
    client: Option<Client>,
    random: u64,
}

impl Visitor {
    fn visit(&mut self) {
        for round in self.random.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            match round % 5 {
                0 | 2 => self.create(round),
                4 => self.cancel(),
                _ => self.read(),
            }
            thread::sleep(PAUSE);
        }
    }

    fn create(&mut self, round: u64) {
        let body = match round % 3 {
            0 => json!({"userId": 1, "parameters": {"numbers": [1, 2, 3]}}),
            1 => json!({"userId": "anna", "parameters": {"csv": "a,b\n1,2\n3,4\n"}}),
            _ => json!({"userId": 2, "taskType": "image_processing", "priority": "high",
                "parameters": {"image": PNG, "width": 4, "height": 4}}),
        };
        if let Some((201, answer)) = self.ask("POST", "/tasks", &body.to_string()) {
            let id = answer["task"]["taskId"].as_i64().expect("an id");
            self.report().created.push(id);
        }
    }

    /// Cancels a task and reads it on the same connection, so from the same worker.
    fn cancel(&mut self) {
        let Some(id) = self.some_task() else { return };
        let path = format!("/tasks/{id}");
        if let Some((200, _)) = self.ask("PUT", &format!("{path}/cancel"), "") {
            self.report().cancelled.push(id);
            let connection = self.client.is_some();
            if let Some((200, answer)) = self.ask("GET", &path, "")
                && connection
                && answer["task"]["status"] != "cancelled"
            {
                self.blame(format!("task {id} was cancelled, and yet is {answer}"));
            }
        }
    }

    fn read(&mut self) {
        if let Some(id) = self.some_task() {
            self.ask("GET", &format!("/tasks/{id}"), "");
        }
    }

    /// Half of the time one of the newest, otherwise any.
    fn some_task(&mut self) -> Option<i64> {
        let random = self.next_random();
        let report = self.report();
        let count = u64::try_from(report.created.len()).ok()?;
        let span = if random.is_multiple_of(2) {
            count.min(20)
        } else {
            count
        };
        let back = (random >> 1).checked_rem(span)?;
        let at = usize::try_from(count - 1 - back).ok()?;
        report.created.get(at).copied()
    }

    /// Status and body, unless there was no answer or a refusal.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let began = Instant::now();
        let outcome = self.exchange(method, path, body);
        let took = began.elapsed();
        self.report().times.push(took);
        if took > self.deadline {
            let outcome = outcome.as_ref().map(|answer| answer.status);
            self.blame(format!("{method} {path} took {took:?}: {outcome:?}"));
            return None;
        }
        match outcome {
            Ok(answer) => self.sort(&format!("{method} {path}"), &answer),
            Err(_) if self.tolerance == Tolerance::Deaths => {
                self.report().unanswered += 1;
                None
            }
            Err(error) => {
                self.blame(format!("{method} {path}: {error}"));
                None
            }
        }
    }

    fn sort(&self, question: &str, answer: &Answer) -> Option<(u16, Value)> {
        // Refusals of the server itself are not in JSON.
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_expected = matches!(answer.status, 200 | 201)
            || (answer.status == 400 && value["error"] == "TASK_NOT_CANCELLABLE");
        if is_expected {
            return Some((answer.status, value));
        }
        let is_refusal = (answer.status == 503 && answer.field("Retry-After").is_some())
            || (answer.status == 500 && value["error"] == "OUTCOME_UNKNOWN");
        let is_death = answer.status == 504;
        let is_excused = match self.tolerance {
            Tolerance::Nothing => false,
            Tolerance::Refusals => is_refusal,
            Tolerance::Deaths => is_refusal || is_death,
        };
        if is_excused {
            self.report().refused += 1;
        } else {
            self.blame(format!("{question}: {} {value}", answer.status));
        }
        None
    }

    fn exchange(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address)?,
        };
        client.set_timeout(self.deadline * 2);
        let fields = if body.is_empty() { "" } else { JSON };
        let answer = client.request(method, &format!("{BASE}{path}"), fields, body.as_bytes())?;
        if !answer.closes() {
            self.client = Some(client);
        }
        Ok(answer)
    }

    fn blame(&self, what: String) {
        let mut report = self.report();
        // The first few are enough.
        if report.broken.len() < 20 {
            report.broken.push(what);
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A linear congruential generator: the same run has the same order each time.
    fn next_random(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.random >> 33
    }
}
