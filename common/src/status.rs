//! [`StatusReport`]: everything that can be known about the running server at one moment, as plain values.
//!
//! The admin process and the control socket answer with it; it serializes to the JSON of `/status`. Times are seconds,
//! sizes octets, points in time Unix time. Counters never fall while the server lives.

mod listener_backlog;
mod process_usage;
mod read;

use std::collections::BTreeMap;

use serde::Serialize;

pub use read::StatusContext;

#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusReport {
    pub server: ServerStatus,
    pub reloads: ReloadStatus,
    /// Replaced workers by reason: `max_requests`, `timeout`, `memory`, `oom`, `signal`, `crash`, `exit`, `boot`, `age`, `refork`. All are
    /// there, also at 0.
    pub restarts: BTreeMap<&'static str, u64>,
    /// Decisions of automatic scaling by direction and cause. All are there, also at 0.
    pub scalings: Vec<ScalingCount>,
    pub requests: RequestStatus,
    /// What each rule of `rate_limits` has refused.
    pub rate_limits: Vec<RateLimitStatus>,
    /// Those of all workers, and those that wait between workers.
    pub connections: ConnectionCounts,
    /// All living children, in the order of their age.
    pub workers: Vec<ChildStatus>,
    /// What the application counts itself, by the name of the metric.
    pub application: Vec<ApplicationMetric>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerStatus {
    pub version: String,
    pub pid: i32,
    pub application: String,
    pub started_at: f64,
    pub uptime_seconds: f64,
    pub generation: u32,
    /// `serving`, `draining` (readiness says no, everything is served) or `stopping`.
    pub state: &'static str,
    pub workers_target: usize,
    /// `None` if the number of workers is fixed.
    pub scaling: Option<ScalingStatus>,
    /// The settings `threads` and `timeout`; a timeout of 0 is none.
    pub threads_per_worker: usize,
    pub timeout_seconds: f64,
    pub listeners: Vec<ListenerStatus>,
}

/// Automatic scaling.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScalingStatus {
    /// Between these numbers of workers: what operators have made of `min_workers`, and `max_workers`.
    pub floor: usize,
    pub most: usize,
    pub last: Option<ScalingChange>,
}

/// The last decision of automatic scaling.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ScalingChange {
    pub at: f64,
    /// `up`, `down`, or `held` where more were wanted and refused.
    pub direction: &'static str,
    /// `queue`, `busy`, `idle` or `memory`.
    pub cause: &'static str,
    pub from: usize,
    pub to: usize,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ListenerStatus {
    /// As in the log: `127.0.0.1:8000`, `unix:/run/app.sock`.
    pub address: String,
    /// Connections that wait to be accepted; `None` where the kernel does not tell.
    pub backlog: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ReloadStatus {
    pub succeeded: u64,
    pub failed: u64,
    /// The latest few, the one that began last at the end.
    pub history: Vec<Reload>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Reload {
    pub at: f64,
    pub generation: u32,
    /// `None` if it succeeded.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScalingCount {
    pub direction: &'static str,
    pub cause: &'static str,
    pub count: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestStatus {
    /// Requests inside the application.
    pub active: u64,
    pub total: u64,
    /// Responses with a 5xx status.
    pub errors: u64,
    pub by_method_and_code: Vec<ResponseCount>,
    /// Requests that the server has refused, so that the application has not seen them, by reason: `queue_timeout`,
    /// `max_queue`, `rate_limit`, `client_gone`. All are there, also at 0. Their responses are in the counts above.
    pub refused: BTreeMap<&'static str, u64>,
    /// Octets of requests and responses, heads included, without TLS.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// From the whole request to the last octet of the response, in buckets of OpenTelemetry. A request that never
    /// became whole is in no histogram.
    pub duration: Histogram,
    /// The same in buckets of a quarter of a power of two, for percentiles.
    pub latency: Histogram,
    /// How long a whole request waited for a thread.
    pub queue: Histogram,
    /// How long it was at a trusted proxy before.
    pub proxy_queue: Histogram,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ResponseCount {
    /// `other` if no RFC knows it.
    pub method: &'static str,
    /// If no RFC knows it, its first digit: 5 for 520. Or 0 if that is not 2 to 5.
    pub code: u16,
    pub count: u64,
}

/// Counts by size. Not cumulative: each bucket has what is above the bound of the one before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Histogram {
    pub count: u64,
    /// In seconds; the middle of its bucket stands for a value where no sum was kept.
    pub sum: f64,
    /// Upper bound in seconds and count, in order. Values above the last bound are in `count` only. Buckets at 0 may be left
    /// out of `latency`.
    pub buckets: Vec<(f64, u64)>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ChildStatus {
    pub slot: usize,
    pub pid: i32,
    /// `worker`, `runner` or `admin`.
    pub kind: &'static str,
    /// The serial number over the life of the master, as gunicorn's `worker.age`.
    pub age: u64,
    pub generation: u32,
    /// `booting`, `ready` or `draining`.
    pub state: &'static str,
    pub uptime_seconds: f64,
    /// Since the event loop last turned, or since the child was started.
    pub heartbeat_seconds: f64,
    pub requests: u64,
    pub errors: u64,
    /// How long the oldest running request has run; 0 if none runs.
    pub longest_request_seconds: f64,
    pub connections: ConnectionCounts,
    pub latency: Histogram,
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    /// `None` where it was not measured: it is expensive.
    pub pss_bytes: Option<u64>,
    pub threads: Vec<ThreadStatus>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionCounts {
    /// Between two requests.
    pub idle: u64,
    /// A request has begun to come.
    pub reading: u64,
    /// A whole request waits for a thread.
    pub queued: u64,
    pub running: u64,
    /// The client has to take the rest of a response.
    pub writing: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ThreadStatus {
    pub index: usize,
    /// `idle`, `running`, or `stuck`: held by the application beyond `timeout`.
    pub state: &'static str,
    /// Responses that it has ended. The event loop ends those that clients take slowly.
    pub requests: u64,
    /// The request that runs, if any. The path is cut where it is long.
    pub request: Option<RunningRequest>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct RunningRequest {
    pub method: String,
    pub path: String,
    pub request_id: String,
    pub seconds: f64,
}

/// A rule of `rate_limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RateLimitStatus {
    pub rule: String,
    /// Requests that were answered 429.
    pub refused: u64,
}

/// One metric of the application, summed over its processes, the dead included where it is a counter.
#[derive(Debug, Clone, Serialize)]
pub struct ApplicationMetric {
    pub name: String,
    pub help: String,
    pub samples: Vec<ApplicationSample>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ApplicationSample {
    /// Name and value of its label, if it has one.
    pub label: Option<(String, String)>,
    pub value: ApplicationValue,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationValue {
    Counter(f64),
    Gauge(f64),
    Histogram(Histogram),
}
