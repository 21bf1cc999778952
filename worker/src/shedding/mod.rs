//! Load shedding: refuses requests that would wait too long for a thread (`queue_timeout`), or that too many others wait
//! before (`max_queue`).
//!
//! ```text
//!   a request is whole --> forecast: how long will it wait? --too long--> 503 from the event loop, at once
//!                              |
//!                              v
//!                            queue --its time is over--> 503, from whoever sees it first
//!                              |
//!                              v
//!                            thread
//! ```
//!
//! The wait is the number of requests that wait before it, times the interval at which requests are taken up lately, in
//! all workers together. That interval is measured, not computed from threads and service times: threads of Python wait
//! for each other, and threads of any kind for the processor. It is measured while requests wait, because otherwise it
//! is the clients that make it long.
//!
//! ```text
//!   service_pace      measures: how long a request takes, and the interval
//!   queue_forecast    computes the wait, without I/O
//!   admission_share   how far forecasts can be trusted
//!   early_refusals    which of them were wrong
//!   refusal           why, and the response
//!   refusal_log       says in the log that requests are refused
//!   load_shedding     decides
//!   simulation        what the policy costs
//! ```

mod admission_share;
mod early_refusals;
mod load_shedding;
mod queue_forecast;
mod refusal;
mod refusal_log;
mod service_pace;
#[cfg(test)]
mod simulation;

pub(crate) use load_shedding::LoadShedding;
pub(crate) use queue_forecast::{CombinedLoad, QueuePlace, WorkerLoad};
pub(crate) use refusal::Refusal;
