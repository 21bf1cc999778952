//! Which child of the server this process is, for lines that say so.

use std::sync::atomic::{AtomicU64, Ordering};

use super::json_object::JsonObject;

/// 0 in the master.
static AGE: AtomicU64 = AtomicU64::new(0);
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// From now on this process is the child with these numbers, as `WorkerContext` has them. For a process that has one
/// thread.
pub fn note_child(age: u64, generation: u32) {
    AGE.store(age, Ordering::Relaxed);
    GENERATION.store(generation.into(), Ordering::Relaxed);
}

pub(super) fn age() -> u64 {
    AGE.load(Ordering::Relaxed)
}

pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Writes what a line says about its process.
pub(super) fn describe(object: &mut JsonObject<'_>, pid: u32) {
    object.number("process.pid", pid.into());
    if age() > 0 {
        object.number("oxicorn.worker.age", age());
        object.number("oxicorn.worker.generation", generation());
    }
}
