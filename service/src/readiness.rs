//! `GET /ready`: whether this worker can serve, and the state of each backend. Without the store it is not ready, so that
//! a balancer sends requests elsewhere; without the cache or the broker it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use http::StatusCode;
use oxicorn_common::{Response, WorkerContext};
use serde::Serialize;

use super::cache::Cache;
use super::outages::{Backend, Outages};
use super::settings::ServiceSettings;
use super::store::Store;

/// Balancers give up after a few seconds: a store that hangs has to be reported earlier.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Readiness {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
    outages: Outages,
    events: &'static str,
    /// A check of the store is under way.
    asking: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct ReadinessBody<'a> {
    status: &'static str,
    store: State<'a>,
    cache: State<'a>,
    events: State<'a>,
}

#[derive(Serialize)]
struct State<'a> {
    kind: &'a str,
    state: &'static str,
}

impl Readiness {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        cache: Arc<dyn Cache>,
        context: &WorkerContext,
    ) -> Self {
        let events = match ServiceSettings::of(&context.settings)
            .kafka_brokers
            .is_empty()
        {
            true => "outbox",
            false => "Kafka",
        };
        Self {
            store,
            cache,
            outages: Outages::of(context),
            events,
            asking: Arc::default(),
        }
    }

    /// Checks the store. For the cache and the events, the state that they last saw is good enough.
    pub(crate) fn answer(&self) -> serde_json::Result<Response> {
        let is_ready = self.store_answers();
        let (status, text) = match is_ready {
            true => (StatusCode::OK, "ready"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        let events_are_up = !self.outages.is_down(Backend::Events);
        let body = serde_json::to_vec(&ReadinessBody {
            status: text,
            store: State::new(self.store.kind(), is_ready),
            cache: State::new(self.cache.kind(), self.cache.is_up()),
            events: State::new(self.events, events_are_up),
        })?;
        let response = Response::json(status, body);
        Ok(match is_ready {
            true => response,
            false => response.field("Retry-After", "5"),
        })
    }

    /// On a thread of its own, because a connection that hangs would hang the request too.
    fn store_answers(&self) -> bool {
        if self.asking.swap(true, Ordering::AcqRel) {
            return self.wait_for_other();
        }
        let (tell, told) = sync_channel(1);
        let (store, asking) = (Arc::clone(&self.store), Arc::clone(&self.asking));
        let asker = thread::Builder::new().name("ready".to_owned());
        let started = asker.spawn(move || {
            let answers = store.ping().is_ok();
            asking.store(false, Ordering::Release);
            // The request may have given up.
            let _ = tell.send(answers);
        });
        match started {
            Ok(_) => told.recv_timeout(TIMEOUT).unwrap_or(false),
            Err(_) => {
                self.asking.store(false, Ordering::Release);
                false
            }
        }
    }

    /// Waits for the check of another request to end, and takes its result.
    fn wait_for_other(&self) -> bool {
        const LOOK: Duration = Duration::from_millis(10);
        let looks = TIMEOUT.as_millis() / LOOK.as_millis();
        (0..looks).any(|_| {
            thread::sleep(LOOK);
            !self.asking.load(Ordering::Acquire)
        }) && self.store.is_up()
    }
}

impl<'a> State<'a> {
    fn new(kind: &'a str, is_up: bool) -> Self {
        let state = if is_up { "up" } else { "down" };
        Self { kind, state }
    }
}
