//! Rate limits in a worker: finds out what a request is counted under, takes it from the buckets, and words the answer.
//!
//! ```text
//!   head whole --RateLimiter::check--> body --> thread --ThreadLimits::begin--> application
//!      (event loop)     |                                   | counts in Redis, where that is set
//!                       |                                   v
//!                       |                                  429; the local bucket is held back
//!                       +--> 429 (reactor/limiting.rs): no body is read, no thread is used
//! ```
//!
//! What the response will say of the limits goes with the request: it is known when the request is counted.
//!
//! A request is counted by every rule that it fits, and passes if it may pass all of them. One that is refused is counted by
//! none, so that a client that goes on asking is served again as soon as its bucket permits.

mod client_address;
mod limit_fields;
mod limit_script;
mod path_match;
mod rate_limiter;
mod redis_endpoint;
mod resp_connection;
mod thread_limits;

pub(crate) use client_address::LimitedClient;
pub(crate) use limit_fields::LimitFields;
pub(crate) use rate_limiter::{LimitCharge, LimitRefusal, RateLimiter};
pub(crate) use thread_limits::ThreadLimits;
