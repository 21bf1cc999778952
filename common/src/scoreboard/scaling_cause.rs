//! Why automatic scaling has decided something.

/// The labels of `oxicorn_scaling_decisions_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ScalingCause {
    /// More workers, because requests wait for a thread.
    Queue = 0,
    /// More workers, because nearly all threads are busy.
    Busy = 1,
    /// Fewer workers, because fewer do.
    Idle = 2,
    /// No more workers, because there is no memory for another.
    Memory = 3,
}

impl ScalingCause {
    pub const ALL: [Self; 4] = [Self::Queue, Self::Busy, Self::Idle, Self::Memory];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::Memory => "memory",
        }
    }

    /// `up`, `down`, or `held` where more workers were wanted and refused.
    pub fn direction(self) -> &'static str {
        match self {
            Self::Queue | Self::Busy => "up",
            Self::Idle => "down",
            Self::Memory => "held",
        }
    }
}
