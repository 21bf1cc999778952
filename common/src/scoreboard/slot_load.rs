//! How busy a worker is: the few figures of a slot that automatic scaling looks at, several times a second. Reading them
//! costs a handful of loads per thread, and no system call.

use super::slot::Slot;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotLoad {
    /// Request threads that serve, and those in reserve.
    pub threads: usize,
    pub reserve: usize,
    /// Those that do.
    pub busy: usize,
    /// Whole requests that wait for a thread, as of the last turn of the event loop.
    pub queued: usize,
    /// Responses so far, and for how long their requests have waited for a thread, in microseconds.
    pub responses: u64,
    pub waited_micros: u64,
}

impl SlotLoad {
    pub fn read(slot: Slot<'_>) -> Self {
        let mut load = Self::default();
        for thread in slot.on_duty() {
            load.threads += 1;
            load.busy += usize::from(!thread.is_idle());
            load.responses = load.responses.wrapping_add(thread.responses());
            load.waited_micros = load.waited_micros.wrapping_add(thread.waited_micros());
        }
        load.reserve = slot.threads().count() - load.threads;
        let away = slot.connection_states().away;
        let away = usize::try_from(away).unwrap_or(usize::MAX);
        load.queued = away.saturating_sub(load.busy);
        load
    }
}
