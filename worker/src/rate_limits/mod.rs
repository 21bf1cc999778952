//! Rate limits in a worker: finds out what a request is counted under, takes it from the buckets, and words the answer.
//!
//! ```text
//!   head whole --RateLimiter::check--> passes: body, thread, application
//!      (event loop)     |
//!                       +--> 429 (reactor/limiting.rs): no body is read, no thread is used
//! ```
//!
//! A request is counted by every rule that it fits, and passes if it may pass all of them. One that is refused is counted by
//! none, so that a client that goes on asking is served again as soon as its bucket permits.

mod client_address;
mod limit_fields;
mod path_match;
mod rate_limiter;

pub(crate) use client_address::LimitedClient;
pub(crate) use limit_fields::LimitFields;
pub(crate) use rate_limiter::{LimitCharge, LimitRefusal, RateLimiter};
