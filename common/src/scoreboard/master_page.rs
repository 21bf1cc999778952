//! The first page of a side: what the master says of the server as a whole. Children cannot write to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::limits::PAGE;
use super::scaling_page::{SCALING_WORDS, ScalingPage};
use super::server_state::ServerState;
use super::text_cell::{TextCell, text_words};
use crate::clock::monotonic_millis;

/// Names the layout of the whole scoreboard: a program that has another one does not use this memory.
const LAYOUT: usize = 7;
/// To be changed with anything that is at another place, or means something else.
const THIS_LAYOUT: u64 = u64::from_be_bytes(*b"oxicorn3");
const STATE: usize = 8;
const PID: usize = 9;
/// Unix time, the bits of an `f64`.
const STARTED_AT: usize = 10;
const STARTED: usize = 11;
const GENERATION: usize = 12;
const TARGET: usize = 13;
/// Reloads that this master has made.
const RELOADS: usize = 14;
/// The number of the last question for stacks.
const STACK_ROUND: usize = 15;
const HISTORY: usize = 16;
/// Reloads that are kept.
const KEPT: usize = 8;
/// Words for time, generation, failure (0 or 1) and its reason.
const RELOAD_ROOMS: [usize; 4] = [1, 1, 1, 40];
const RELOAD_WORDS: usize = text_words(RELOAD_ROOMS).next_multiple_of(8);

const SCALING: usize = HISTORY + KEPT * RELOAD_WORDS;

const _: () = assert!(SCALING + SCALING_WORDS <= PAGE);

/// A reload that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct ReloadRecord {
    /// Unix time.
    pub at: f64,
    pub generation: u32,
    /// `None` if it has succeeded. Cut at 320 octets.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub struct MasterPage<'a>(&'a [AtomicU64; PAGE]);

impl<'a> MasterPage<'a> {
    pub(super) fn new(words: &'a [AtomicU64; PAGE]) -> Self {
        Self(words)
    }

    pub(super) fn set_layout(self) {
        self.put(LAYOUT, THIS_LAYOUT);
    }

    pub(super) fn has_this_layout(self) -> bool {
        self.get(LAYOUT) == THIS_LAYOUT
    }

    /// This process is the master, and begins.
    pub fn begin(self) {
        self.put(STARTED_AT, unix_time().to_bits());
        self.put(STARTED, monotonic_millis());
        self.set_pid(std::process::id());
    }

    /// The master has another pid since it went into the background.
    pub fn set_pid(self, pid: u32) {
        self.put(PID, pid.into());
    }

    pub fn pid(self) -> i32 {
        self.get(PID) as i32
    }

    /// The start of the master in Unix time.
    pub fn started_at(self) -> f64 {
        f64::from_bits(self.get(STARTED_AT))
    }

    /// The same in [`monotonic_millis`].
    pub fn started(self) -> u64 {
        self.get(STARTED)
    }

    /// The generation that serves; 0 before the first.
    pub fn generation(self) -> u32 {
        self.get(GENERATION) as u32
    }

    pub fn set_generation(self, generation: u32) {
        self.put(GENERATION, generation.into());
    }

    /// How many workers there should be.
    pub fn target(self) -> usize {
        self.get(TARGET) as usize
    }

    pub fn set_target(self, workers: usize) {
        self.put(TARGET, workers as u64);
    }

    /// What automatic scaling does.
    pub fn scaling(self) -> ScalingPage<'a> {
        ScalingPage::new(&self.0[SCALING..SCALING + SCALING_WORDS])
    }

    /// How often the master has asked the workers for the stacks of their threads. A probe follows a new round.
    pub fn stack_round(self) -> u64 {
        self.get(STACK_ROUND)
    }

    pub fn set_stack_round(self, round: u64) {
        self.put(STACK_ROUND, round);
    }

    pub(super) fn state(self) -> ServerState {
        ServerState::of(self.get(STATE))
    }

    pub(super) fn set_state(self, state: ServerState) {
        self.put(STATE, state as u64);
    }

    pub(super) fn add_reload(self, generation: u32, failure: Option<&str>) {
        let index = self.get(RELOADS) as usize % KEPT;
        self.reload(index).write([
            &unix_time().to_ne_bytes(),
            &generation.to_ne_bytes(),
            &[u8::from(failure.is_some())],
            failure.unwrap_or_default().as_bytes(),
        ]);
        self.put(RELOADS, self.get(RELOADS).wrapping_add(1));
    }

    /// The latest reloads of this master, the last one at the end.
    pub fn reloads(self) -> Vec<ReloadRecord> {
        let count = self.get(RELOADS) as usize;
        let kept = count.saturating_sub(KEPT)..count;
        kept.filter_map(|number| self.read_reload(number % KEPT))
            .collect()
    }

    fn read_reload(self, index: usize) -> Option<ReloadRecord> {
        let [at, generation, failed, reason] = self.reload(index).read()?;
        let reason = String::from_utf8_lossy(&reason).into_owned();
        Some(ReloadRecord {
            at: f64::from_ne_bytes(at.try_into().ok()?),
            generation: u32::from_ne_bytes(generation.try_into().ok()?),
            failure: (failed == [1]).then_some(reason),
        })
    }

    fn reload(self, index: usize) -> TextCell<'a, 4> {
        let start = HISTORY + index * RELOAD_WORDS;
        TextCell::new(&self.0[start..start + RELOAD_WORDS], RELOAD_ROOMS)
    }

    fn get(self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    fn put(self, index: usize, value: u64) {
        self.0[index].store(value, Ordering::Relaxed);
    }
}

fn unix_time() -> f64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.map_or(0.0, |age| age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reloads_are_kept() {
        let words = Box::new([const { AtomicU64::new(0) }; PAGE]);
        let page = MasterPage::new(&words);
        assert_eq!(page.reloads(), []);
        for generation in 2..14 {
            let failure = format!("no {generation}: {}", "\u{e4}".repeat(400));
            let failed = generation % 2 == 0;
            page.add_reload(generation, failed.then_some(&*failure));
        }
        let reloads = page.reloads();
        let numbers: Vec<u32> = reloads.iter().map(|it| it.generation).collect();
        assert_eq!(numbers, Vec::from_iter(6..14));
        let failure = reloads[0].failure.as_deref().expect("it failed");
        // The cut goes through a letter.
        assert!(failure.starts_with("no 6: \u{e4}") && failure.len() < 330);
        assert!(reloads[7].failure.is_none() && reloads[7].at > 1e9);
    }
}
