//! Clients that send requests until they are told to stop, and count everything that goes wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Client, eventually_step_by_step};

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As many requests per connection as the server allows.
    KeepAlive,
    /// One connection per request.
    Fresh,
}

/// The outcome of the requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    /// The listening socket was not there.
    pub(crate) refused: u64,
    /// A kept-alive connection ended without a byte of the next answer. A client may repeat an idempotent request then
    /// (RFC 9112 section 9.3.1), but should not have to.
    pub(crate) retried: u64,
    /// All other errors, as text.
    pub(crate) failures: Vec<String>,
    pub(crate) slowest: Duration,
}

impl Tally {
    /// Panics unless every request was answered at the first attempt.
    pub(crate) fn assert_perfect(&self) {
        assert!(
            self.failures.is_empty() && self.refused == 0 && self.retried == 0,
            "{self:?}"
        );
        assert!(self.answered > 0, "no request at all");
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.retried += other.retried;
        self.failures.extend(other.failures);
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts `clients` threads that GET `target`.
    pub(crate) fn start(address: SocketAddr, clients: usize, mode: Mode, target: &str) -> Self {
        Self::start_limited(address, clients, mode, target, u64::MAX)
    }

    /// As [`Load::start`]; each client ends after `requests` answers.
    pub(crate) fn start_limited(
        address: SocketAddr,
        clients: usize,
        mode: Mode,
        target: &str,
        requests: u64,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = (0..clients)
            .map(|_| {
                let asker = Asker {
                    address,
                    mode,
                    target: target.to_owned(),
                    requests,
                    stop: Arc::clone(&stop),
                    answered: Arc::clone(&answered),
                };
                thread::spawn(move || asker.ask())
            })
            .collect();
        let load = Self {
            stop,
            answered,
            clients,
        };
        load.wait_for_more(1);
        load
    }

    /// Waits until `count` more requests have been answered.
    pub(crate) fn wait_for_more(&self, count: u64) {
        let aim = self.answered.load(Ordering::Relaxed) + count;
        eventually_step_by_step("the load goes on", || {
            let ended = self.clients.iter().all(JoinHandle::is_finished);
            let answered = self.answered.load(Ordering::Relaxed);
            if ended || answered >= aim {
                Ok(())
            } else {
                Err(answered)
            }
        });
    }

    /// Ends the load after the requests under way.
    pub(crate) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits for clients that end by themselves.
    pub(crate) fn finish(self) -> Tally {
        let mut sum = Tally::default();
        for client in self.clients {
            sum.add(client.join().expect("a client does not panic"));
        }
        sum
    }
}

struct Asker {
    address: SocketAddr,
    mode: Mode,
    target: String,
    requests: u64,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Asker {
    fn ask(self) -> Tally {
        let mut tally = Tally::default();
        let mut connection: Option<Client> = None;
        while !self.stop.load(Ordering::Relaxed) && tally.answered < self.requests {
            let reused = connection.is_some();
            let started = Instant::now();
            match self.ask_once(&mut connection) {
                Ok(200) => {
                    tally.answered += 1;
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    tally.slowest = tally.slowest.max(started.elapsed());
                }
                Ok(status) => tally.failures.push(format!("status {status}")),
                Err(error) => self.blame(&error, reused, &mut tally),
            }
            if tally.failures.len() > 20 || tally.refused > 1000 {
                break;
            }
        }
        tally
    }

    fn ask_once(&self, kept: &mut Option<Client>) -> io::Result<u16> {
        let mut client = match kept.take() {
            Some(client) => client,
            None => Client::connect(self.address)?,
        };
        let close = match self.mode {
            Mode::KeepAlive => "",
            Mode::Fresh => "Connection: close\r\n",
        };
        client.send(
            format!("GET {} HTTP/1.1\r\nHost: test\r\n{close}\r\n", self.target).as_bytes(),
        )?;
        let answer = client.answer()?;
        if !answer.closes() {
            *kept = Some(client);
        }
        Ok(answer.status)
    }

    fn blame(&self, error: &io::Error, reused: bool, tally: &mut Tally) {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                tally.refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
                if reused =>
            {
                tally.retried += 1;
            }
            _ => tally.failures.push(format!(
                "{} connection: {error} ({:?})",
                if reused { "kept" } else { "new" },
                error.kind()
            )),
        }
    }
}
