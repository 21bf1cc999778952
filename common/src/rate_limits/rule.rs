//! [`RateLimitRule`]: one line of the file of rules.

use std::time::Duration;

/// At most `amount` requests per `period` and key, of those that fit `paths` and `methods`; up to `burst` of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitRule {
    /// Letters, digits, `_` and `-`: it is a label of metrics and a name in response fields.
    pub name: String,
    pub amount: u64,
    pub period: Duration,
    pub burst: u64,
    pub by: LimitKey,
    /// In lower case, without a final slash. None: all paths.
    pub paths: Vec<String>,
    /// None: all methods.
    pub methods: Vec<String>,
    pub shown: ShownFields,
    /// For how many keys there is room.
    pub keys: usize,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// The client's address.
    Client,
    /// Each value of a header field; requests without it are not counted.
    Header(String),
    /// All requests together.
    Server,
}

/// Which responses tell the client about the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownFields {
    Always,
    /// Those with status 429.
    Refused,
    /// None; a 429 has `Retry-After` all the same.
    Never,
}

impl RateLimitRule {
    /// The time in which one request becomes free, rounded up: never more than the rule permits.
    pub fn interval(&self) -> Duration {
        let nanos = self.period.as_nanos().div_ceil(u128::from(self.amount));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The time in which a used-up bucket is full again, in whole seconds, at least 1.
    pub fn window_seconds(&self) -> u64 {
        let nanos = self.interval().as_nanos() * u128::from(self.burst);
        u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
    }

    /// Whether its counts mean the same as those of `other`, so that a reload may keep them.
    pub fn counts_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.by == other.by
            && self.interval() == other.interval()
            && self.burst == other.burst
            && self.keys == other.keys
    }
}
