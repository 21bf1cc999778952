//! [`RedisEndpoint`]: what the threads of a worker know of the Redis in which all hosts count: its address, and whether it is
//! used at present.
//!
//! ```text
//!   used --connection refused or broken, an error, three late answers in a row--> not used: the local buckets alone
//!    ^                                                                                |
//!    +------------------ the script works again (looked for twice a second) ----------+
//! ```
//!
//! The state is one word of all workers (`OutageWord`). A thread of each worker looks names up and looks for Redis while it is
//! away, so that no request ever waits for that.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use oxicorn_common::rate_limits::OutageWord;
use oxicorn_common::settings::{RedisPlace, RedisUrl};

use super::limit_script::LimitScript;
use super::resp_connection::{RespAddress, RespConnection, RespFailure};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct RedisEndpoint {
    url: RedisUrl,
    outage: OutageWord,
    /// How long a request waits for each step, at most.
    timeout: Duration,
    /// The addresses of its name; none until they have been looked up.
    addresses: Mutex<Arc<[RespAddress]>>,
}

impl RedisEndpoint {
    pub(crate) fn new(url: RedisUrl, outage: OutageWord, timeout: Duration) -> Self {
        let addresses: Arc<[RespAddress]> = match &url.place {
            RedisPlace::Unix(path) => [RespAddress::Unix(path.clone())].into(),
            RedisPlace::Tcp { host, port } => {
                let address = host.parse::<IpAddr>().ok();
                let address = address.map(|it| RespAddress::Tcp((it, *port).into()));
                address.into_iter().collect()
            }
        };
        Self {
            url,
            outage,
            timeout,
            addresses: Mutex::new(addresses),
        }
    }

    /// Whether requests may ask it.
    pub(super) fn is_used(&self) -> bool {
        !self.outage.is_out() && !self.addresses().is_empty()
    }

    pub(super) fn connect(&self) -> Result<RespConnection, RespFailure> {
        let mut outcome = Err(RespFailure::Late);
        for address in self.addresses().iter() {
            outcome = RespConnection::open(address, &self.url, self.timeout);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    pub(super) fn note_answer(&self) {
        self.outage.note_answer();
    }

    pub(super) fn note_failure(&self, failure: &RespFailure) {
        let begins = match failure {
            RespFailure::Late => self.outage.note_late(),
            _ => self.outage.begin(),
        };
        if begins {
            warn!(
                "Rate limits: cannot count in Redis at {}: {failure}. This server counts alone until it is back.",
                self.url
            );
        }
    }

    /// The life of the thread that looks for Redis.
    pub(crate) fn watch(&self) -> ! {
        loop {
            if self.addresses().is_empty() || self.outage.is_out() {
                self.look();
            }
            thread::sleep(PAUSE);
        }
    }

    fn look(&self) {
        let was_out = self.outage.is_out();
        let outcome = self.look_up().and_then(|()| LimitScript::try_out(self));
        match outcome {
            Ok(()) => {
                if let Some(away) = self.outage.end() {
                    let seconds = away.as_secs_f64();
                    info!(
                        "Rate limits: Redis at {} is back after {seconds:.1} s. All servers count together.",
                        self.url
                    );
                }
            }
            // That it is away is known.
            Err(_) if was_out => {}
            Err(failure) => self.note_failure(&failure),
        }
    }

    fn look_up(&self) -> Result<(), RespFailure> {
        if let RedisPlace::Tcp { host, port } = &self.url.place {
            let found = (host.as_str(), *port).to_socket_addrs();
            let found = found.map_err(RespFailure::Broken)?;
            *self.lock() = found.map(RespAddress::Tcp).collect();
        }
        Ok(())
    }

    fn addresses(&self) -> Arc<[RespAddress]> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<[RespAddress]>> {
        // The list is replaced as a whole.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
