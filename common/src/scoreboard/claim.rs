//! The master's record of the child that has a slot. Children cannot write to it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::MAX_THREADS;

/// Words per claim: a cache line.
pub(super) const CLAIM_WORDS: usize = 8;

/// 0 if the slot is free, else one more than the number of the kind.
const KIND: usize = 0;
const PID: usize = 1;
const AGE: usize = 2;
const GENERATION: usize = 3;
const BORN: usize = 4;
const THREADS: usize = 5;
const BECOMES_MOLD: usize = 6;

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotKind {
    Worker = 0,
    Runner = 1,
    /// The admin process.
    Admin = 2,
}

impl SlotKind {
    const ALL: [Self; 3] = [Self::Worker, Self::Runner, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Runner => "runner",
            Self::Admin => "admin",
        }
    }
}

/// A child that is about to be forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant {
    pub kind: SlotKind,
    pub age: u64,
    pub generation: u32,
    /// Request threads.
    pub threads: usize,
}

/// The claim on one slot.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a>(&'a [AtomicU64; CLAIM_WORDS]);

impl<'a> Claim<'a> {
    pub(super) fn new(words: &'a [AtomicU64; CLAIM_WORDS]) -> Self {
        Self(words)
    }

    /// The kind of the child; `None` if the slot is free.
    pub fn kind(self) -> Option<SlotKind> {
        let number = self.get(KIND).checked_sub(1)?;
        SlotKind::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// 0 until the fork is reported.
    pub fn pid(self) -> i32 {
        self.get(PID) as i32
    }

    pub fn age(self) -> u64 {
        self.get(AGE)
    }

    pub fn generation(self) -> u32 {
        self.get(GENERATION) as u32
    }

    /// When the slot was claimed, in [`crate::clock::monotonic_millis`].
    pub fn born(self) -> u64 {
        self.get(BORN)
    }

    /// Request threads.
    pub fn threads(self) -> usize {
        (self.get(THREADS) as usize).min(MAX_THREADS)
    }

    /// Whether the child is to become the mold of its generation when it has drained.
    pub fn becomes_mold(self) -> bool {
        self.get(BECOMES_MOLD) != 0
    }

    pub(super) fn choose_mold(self) {
        self.put(BECOMES_MOLD, 1);
    }

    pub(super) fn set(self, claimant: Claimant, now: u64) {
        self.put(PID, 0);
        self.put(BECOMES_MOLD, 0);
        self.put(AGE, claimant.age);
        self.put(GENERATION, claimant.generation.into());
        self.put(BORN, now);
        self.put(THREADS, claimant.threads.min(MAX_THREADS) as u64);
        self.put(KIND, claimant.kind as u64 + 1);
    }

    pub(super) fn set_pid(self, pid: i32) {
        self.put(PID, pid.unsigned_abs().into());
    }

    pub(super) fn clear(self) {
        self.put(KIND, 0);
        self.put(PID, 0);
    }

    fn get(self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    fn put(self, index: usize, value: u64) {
        self.0[index].store(value, Ordering::Relaxed);
    }
}
