//! Why a worker was replaced.

/// The label `reason` of `oxicorn_worker_restarts_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RestartReason {
    /// It has served `max_requests`.
    MaxRequests = 0,
    /// A request took longer than `timeout`, or the event loop stood still for so long.
    Timeout = 1,
    /// It used more memory than it may.
    Memory = 2,
    /// The kernel killed it for lack of memory.
    OutOfMemory = 3,
    /// A signal that the master has not sent.
    Signal = 4,
    /// A signal that its own fault raised.
    Crash = 5,
    /// It ended by itself, or its application asked for that.
    Exit = 6,
    /// It did not get ready.
    Boot = 7,
    /// It has served for `worker_max_age`.
    Age = 8,
    /// A worker that has served `refork_after` requests has become the mold of others.
    Refork = 9,
}

impl RestartReason {
    pub const ALL: [Self; 10] = [
        Self::MaxRequests,
        Self::Timeout,
        Self::Memory,
        Self::OutOfMemory,
        Self::Signal,
        Self::Crash,
        Self::Exit,
        Self::Boot,
        Self::Age,
        Self::Refork,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutOfMemory => "oom",
            Self::Signal => "signal",
            Self::Crash => "crash",
            Self::Exit => "exit",
            Self::Boot => "boot",
            Self::Age => "age",
            Self::Refork => "refork",
        }
    }
}
