//! Single flight: if several threads miss the same key, one of them asks the store and the others wait for it. A panic
//! of the leader frees the others.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After this a waiting thread asks the store itself.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<HashMap<String, Arc<Flight>>>);

#[derive(Debug, Default)]
struct Flight {
    landed: Mutex<bool>,
    landing: Condvar,
}

/// The right to make the body of a key, until dropped. The other threads wait.
#[derive(Debug)]
pub(super) struct FlightLeader<'a> {
    single_flight: &'a SingleFlight,
    key: &'a str,
}

impl SingleFlight {
    /// The lead. `None` if another thread had it: that one is done now, or took longer than [`WAIT_TIMEOUT`].
    pub(super) fn lead<'a>(&'a self, key: &'a str) -> Option<FlightLeader<'a>> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(key) {
                Some(flight) => Arc::clone(flight),
                None => {
                    flights.insert(key.to_owned(), Arc::default());
                    return Some(FlightLeader {
                        single_flight: self,
                        key,
                    });
                }
            }
        };
        flight.wait(WAIT_TIMEOUT);
        None
    }

    /// How many wait for the leader.
    #[cfg(test)]
    pub(super) fn joined(&self, key: &str) -> usize {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.get(key).map_or(0, |it| Arc::strong_count(it) - 1)
    }
}

impl Flight {
    fn wait(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*landed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.landing.wait_timeout(landed, left);
            landed = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for FlightLeader<'_> {
    fn drop(&mut self) {
        let mut flights = self
            .single_flight
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(flight) = flights.remove(self.key) else {
            return;
        };
        drop(flights);
        *flight.landed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        flight.landing.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_and_a_panic_of_its_frees_the_others() {
        let single_flight = SingleFlight::default();
        let lead = single_flight.lead("a").expect("nobody else");
        assert!(single_flight.lead("b").is_some(), "another key");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| single_flight.lead("a").is_some());
            let panic = scope.spawn(move || {
                let _lead = lead;
                panic!("a test");
            });
            assert!(panic.join().is_err());
            waiting.join().expect("no panic");
        });
        assert!(single_flight.lead("a").is_some());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let single_flight = SingleFlight::default();
        let _lead = single_flight.lead("a").expect("nobody else");
        let began = Instant::now();
        assert!(single_flight.lead("a").is_none());
        assert!((WAIT_TIMEOUT..WAIT_TIMEOUT * 5).contains(&began.elapsed()));
    }
}
