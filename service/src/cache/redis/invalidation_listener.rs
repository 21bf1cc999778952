//! Listens for changes in Redis, for all processes of this server. With `CLIENT TRACKING` (Redis 6 or later), Redis
//! reports to one connection which of our keys any client has touched.
//!
//! ```text
//!   Redis --- invalidate task:7 --> the listener of this server --> KeyVersions --> copies of all workers
//!         <-- PING, every 100 ms --
//!         --- PONG: all before the PING has arrived -->
//! ```
//!
//! If the listening process or Redis dies or hangs, nothing is heard. After [`LEASE_MILLIS`] of that no copy is used,
//! and another process becomes the listener.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxicorn_common::clock::monotonic_millis;
use redis::{Parser, PushKind, Value};

use super::client::RedisClient;
use super::connection::{ConnectionError, RedisConnection};
use crate::key_versions::KeyVersions;

/// If nothing has been heard for this long, no copy is used. A change on another server shows here after that at the
/// latest.
pub(super) const LEASE_MILLIS: u64 = 500;
/// Between two PINGs.
const PING: Duration = Duration::from_millis(100);
/// Between two checks whether a process listens.
const LOOK: Duration = Duration::from_millis(250);
/// For a reply of Redis. Longer than the lease, because no request waits for it.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The keys that are copied.
const PREFIXES: [&str; 2] = ["task:", "user:"];

pub(super) struct InvalidationListener {
    pub(super) client: Arc<RedisClient>,
    pub(super) versions: KeyVersions,
    /// Unique among the processes of this server.
    pub(super) process: u64,
}

impl InvalidationListener {
    /// Runs until the cache is gone, or Redis refuses tracking.
    pub(super) fn run(self) {
        while self.client.breaker.pause(LOOK) {
            if !self.versions.become_listener(self.process, LEASE_MILLIS) {
                continue;
            }
            match self.listen() {
                Ok(()) => debug!("Redis is not used, or another process listens to it"),
                Err(ConnectionError::Refused(why)) => {
                    info!(
                        "Redis tells nobody of changes ({why}): workers keep no copies of what it holds"
                    );
                    return;
                }
                Err(error) => debug!("Redis is not heard: {error}"),
            }
            self.versions.stop_listening(self.process);
        }
    }

    /// Listens until another process does. Returns at once while Redis is not used.
    fn listen(&self) -> Result<(), ConnectionError> {
        let Some((address, run_id)) = self.client.breaker.home() else {
            return Ok(());
        };
        let mut connection = RedisConnection::open(&address, &self.client.address.login, TIMEOUT)?;
        if connection.run_id()? != run_id {
            return Err(ConnectionError::Replaced);
        }
        connection.ask(redis::cmd("HELLO").arg(3))?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in PREFIXES {
            tracking.arg("PREFIX").arg(prefix);
        }
        connection.ask(&tracking)?;
        // No process has heard what changed before now.
        self.versions.all_changed();
        let mut stream = PushStream::new(connection);
        let mut due = Instant::now();
        loop {
            let now = Instant::now();
            if now >= due {
                due = now + PING;
                let asked = monotonic_millis();
                stream.ping(|value| self.hear(value))?;
                if !self.versions.heard(self.process, asked) {
                    return Ok(());
                }
            } else if stream.is_ready(due - now) {
                self.hear(stream.next()?);
            }
        }
    }

    /// Handles an invalidation that Redis pushes.
    fn hear(&self, value: Value) {
        let Value::Push {
            kind: PushKind::Invalidate,
            data,
        } = value
        else {
            return;
        };
        for told in data {
            match told {
                Value::Array(keys) => {
                    for key in keys {
                        match key {
                            Value::BulkString(key) => {
                                self.versions
                                    .changed(key_of(&String::from_utf8_lossy(&key)));
                            }
                            _ => self.versions.all_changed(),
                        }
                    }
                }
                // The whole database was emptied.
                _ => self.versions.all_changed(),
            }
        }
    }
}

/// The key in a name in Redis. Names of other stores count too, which costs no more than a command.
fn key_of(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(key, _)| key)
}

/// A connection with pushed messages. Its parser gets one byte at a time, so that it does not hold back a value that
/// arrived with another.
struct PushStream {
    parser: Parser,
    bytes: BufReader<RedisConnection>,
}

impl PushStream {
    fn new(connection: RedisConnection) -> Self {
        Self {
            parser: Parser::new(),
            bytes: BufReader::new(connection),
        }
    }

    /// Sends a PING, and handles the messages that come before its reply.
    fn ping(&mut self, mut hear: impl FnMut(Value)) -> Result<(), ConnectionError> {
        self.bytes.get_mut().send(&redis::cmd("PING"))?;
        loop {
            match self.next()? {
                push @ Value::Push { .. } => hear(push),
                Value::ServerError(_) => return Err(ConnectionError::Gibberish),
                _ => return Ok(()),
            }
        }
    }

    /// Whether something arrives within `timeout`.
    fn is_ready(&mut self, timeout: Duration) -> bool {
        if !self.bytes.buffer().is_empty() || self.bytes.get_mut().has_more() {
            return true;
        }
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1));
        let mut fds = [PollFd::new(self.bytes.get_ref().as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout.unwrap_or(PollTimeout::ZERO)).is_ok_and(|count| count > 0)
    }

    fn next(&mut self) -> Result<Value, ConnectionError> {
        let mut failure = None;
        let bytes_in = ByteReader {
            bytes: &mut self.bytes,
            failure: &mut failure,
        };
        let value = self.parser.parse_value(bytes_in);
        match (value, failure) {
            (Ok(value), _) => Ok(value),
            (Err(_), Some(failure)) => Err(ConnectionError::Lost(failure)),
            (Err(_), None) => Err(ConnectionError::Gibberish),
        }
    }
}

struct ByteReader<'a> {
    bytes: &'a mut BufReader<RedisConnection>,
    /// Why reading failed: the parser does not report the cause.
    failure: &'a mut Option<std::io::Error>,
}

impl Read for ByteReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let (Some(place), byte) = (into.first_mut(), self.bytes.fill_buf()) else {
            return Ok(0);
        };
        match byte.map(|bytes| bytes.first().copied()) {
            Ok(Some(byte)) => {
                *place = byte;
                self.bytes.consume(1);
                Ok(1)
            }
            Ok(None) => {
                let kind = std::io::ErrorKind::UnexpectedEof;
                *self.failure = Some(std::io::Error::new(kind, "closed at the other end"));
                Err(kind.into())
            }
            Err(error) => {
                let kind = error.kind();
                *self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
