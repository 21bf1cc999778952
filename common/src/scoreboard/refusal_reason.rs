//! Why the server has answered a request itself that it could have given to the application.

/// The label `reason` of `oxicorn_requests_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefusalReason {
    /// It would have waited longer than `queue_timeout`, or has.
    QueueTimeout = 0,
    /// `max_queue` requests waited already.
    MaxQueue = 1,
    /// Its client was over a limit of `rate_limits`.
    RateLimit = 2,
    /// Its client has left while it waited.
    ClientGone = 3,
}

impl RefusalReason {
    pub const ALL: [Self; 4] = [
        Self::QueueTimeout,
        Self::MaxQueue,
        Self::RateLimit,
        Self::ClientGone,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueTimeout => "queue_timeout",
            Self::MaxQueue => "max_queue",
            Self::RateLimit => "rate_limit",
            Self::ClientGone => "client_gone",
        }
    }
}
