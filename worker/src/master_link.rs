//! The worker's messages to the master, and the conditions under which it asks to be replaced.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::{info, warn};
use oxicorn_common::scoreboard::RestartReason;
use oxicorn_common::{Message, MessageSender, Settings};

#[derive(Debug)]
pub(crate) struct MasterLink {
    sender: Arc<MessageSender>,
    asked_for_replacement: AtomicBool,
    served: AtomicU64,
    /// After this number of requests the worker asks to be replaced; 0 is never.
    serves_at_most: u64,
    /// After this number it could become a mold; 0 is never.
    warm_after: u64,
}

impl MasterLink {
    pub(crate) fn new(sender: Arc<MessageSender>, settings: &Settings) -> Self {
        let jitter = match settings.max_requests_jitter {
            0 => 0,
            most => random() % (most + 1),
        };
        Self {
            sender,
            asked_for_replacement: AtomicBool::new(false),
            served: AtomicU64::new(0),
            warm_after: settings.recycling.refork_after,
            serves_at_most: match settings.max_requests {
                0 => 0,
                count => count + jitter,
            },
        }
    }

    pub(crate) fn send(&self, message: &Message) {
        if let Err(error) = self.sender.send(message) {
            warn!("cannot reach the master: {error}");
        }
    }

    /// Asks the master, once, to start a replacement and then to drain this worker.
    pub(crate) fn ask_for_replacement(&self, why: RestartReason) {
        if !self.asked_for_replacement.swap(true, Ordering::Relaxed) {
            self.send(&Message::Replace { why });
        }
    }

    /// Counts a request towards `max_requests` and `refork_after`.
    pub(crate) fn count_request(&self) {
        let (most, warm) = (self.serves_at_most, self.warm_after);
        if most | warm == 0 {
            return;
        }
        let served = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        if served == warm {
            self.send(&Message::Warm);
        }
        if served == most {
            info!("Autorestarting worker after {most} requests.");
            self.ask_for_replacement(RestartReason::MaxRequests);
        }
    }
}

/// A number that differs between processes, for jitter.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
