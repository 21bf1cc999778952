//! What the service counts: its metrics, and the handles that its parts write them with. docs/monitoring.md explains each.
//!
//! What is about the database as a whole, such as the outbox, is looked up by one process (`survey`). During an upgrade
//! each master has one, therefore it is a maximum.

use oxicorn_common::metrics::{
    CounterHandle, GaugeHandle, HistogramHandle, Metric, MetricError, Metrics,
};

use super::model::{Status, TaskType};
use super::store::StoreFigures;

/// OpenTelemetry's, and further ones for long work.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    300.0,
];
const STATES: &[&str] = &{
    let mut names = [""; Status::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Status::ALL[at].as_str();
        at += 1;
    }
    names
};
const TYPES: &[&str] = &{
    let mut names = [""; TaskType::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = TaskType::ALL[at].as_str();
        at += 1;
    }
    names
};

pub(crate) static METRICS: &[Metric] = &[
    Metric::gauge(
        "oxicorn_pool_connections",
        "Database connections of all workers and runners.",
    )
    .by("state", &["in_use", "idle"]),
    Metric::gauge(
        "oxicorn_pool_waiting",
        "Threads that wait for a database connection.",
    ),
    Metric::counter(
        "oxicorn_pool_timeouts_total",
        "Requests that got no database connection within pool_timeout.",
    ),
    Metric::counter(
        "oxicorn_cache_hits_total",
        "Reads that the cache answered, and the database did not see.",
    ),
    Metric::counter(
        "oxicorn_cache_misses_total",
        "Reads that the cache had nothing for, and the database answered.",
    ),
    Metric::counter(
        "oxicorn_cache_errors_total",
        "Reads for which the cache could not be asked, and the database answered.",
    ),
    Metric::gauge(
        "oxicorn_cache_processes",
        "Processes that use the cache (up), or do without it (down).",
    )
    .by("state", &["up", "down"]),
    Metric::maximum(
        "oxicorn_outbox_length",
        "Events that wait to be published, up to 100000.",
    ),
    Metric::maximum(
        "oxicorn_outbox_age_seconds",
        "How long the oldest event of the outbox has waited.",
    ),
    Metric::counter(
        "oxicorn_kafka_acks_total",
        "Events that Kafka has acknowledged.",
    ),
    Metric::counter(
        "oxicorn_kafka_errors_total",
        "Attempts to publish events, one or many, that failed.",
    ),
    Metric::maximum("oxicorn_tasks", "Tasks in the database.").by("state", STATES),
    Metric::histogram(
        "oxicorn_task_duration_seconds",
        "How long an attempt at a task took.",
        SECONDS,
    )
    .by("type", TYPES),
];

/// Of the database connections of one process.
#[derive(Debug, Clone)]
pub(crate) struct PoolMetrics {
    pub(crate) in_use: GaugeHandle,
    pub(crate) idle: GaugeHandle,
    pub(crate) waiting: GaugeHandle,
    pub(crate) timeouts: CounterHandle,
}

impl PoolMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Result<Self, MetricError> {
        Ok(Self {
            in_use: metrics.gauge(("oxicorn_pool_connections", "in_use"))?,
            idle: metrics.gauge(("oxicorn_pool_connections", "idle"))?,
            waiting: metrics.gauge("oxicorn_pool_waiting")?,
            timeouts: metrics.counter("oxicorn_pool_timeouts_total")?,
        })
    }
}

/// Of the cache of one process. Each read is a hit, a miss or an error.
#[derive(Debug, Clone)]
pub(crate) struct CacheMetrics {
    pub(crate) hits: CounterHandle,
    pub(crate) misses: CounterHandle,
    pub(crate) errors: CounterHandle,
    up: GaugeHandle,
    down: GaugeHandle,
}

impl CacheMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Result<Self, MetricError> {
        Ok(Self {
            hits: metrics.counter("oxicorn_cache_hits_total")?,
            misses: metrics.counter("oxicorn_cache_misses_total")?,
            errors: metrics.counter("oxicorn_cache_errors_total")?,
            up: metrics.gauge(("oxicorn_cache_processes", "up"))?,
            down: metrics.gauge(("oxicorn_cache_processes", "down"))?,
        })
    }

    /// Whether this process uses the cache.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.up.set(f64::from(u8::from(is_up)));
        self.down.set(f64::from(u8::from(!is_up)));
    }
}

/// Of the events that one process publishes.
#[derive(Debug, Clone)]
pub(crate) struct RelayMetrics {
    pub(crate) acks: CounterHandle,
    pub(crate) errors: CounterHandle,
}

impl RelayMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Result<Self, MetricError> {
        Ok(Self {
            acks: metrics.counter("oxicorn_kafka_acks_total")?,
            errors: metrics.counter("oxicorn_kafka_errors_total")?,
        })
    }
}

/// Of the database as a whole.
#[derive(Debug, Clone)]
pub(crate) struct StoreMetrics {
    outbox_length: GaugeHandle,
    outbox_age: GaugeHandle,
    /// In the order of [`Status::ALL`].
    tasks: Vec<GaugeHandle>,
}

impl StoreMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Result<Self, MetricError> {
        let of_state = |state: Status| metrics.gauge(("oxicorn_tasks", state.as_str()));
        Ok(Self {
            outbox_length: metrics.gauge("oxicorn_outbox_length")?,
            outbox_age: metrics.gauge("oxicorn_outbox_age_seconds")?,
            tasks: Status::ALL
                .into_iter()
                .map(of_state)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn set(&self, figures: &StoreFigures) {
        self.outbox_length.set(figures.outbox_length as f64);
        self.outbox_age.set(figures.outbox_age.as_secs_f64());
        for (gauge, count) in self.tasks.iter().zip(figures.tasks) {
            gauge.set(count as f64);
        }
    }
}

/// Of the work of one runner.
#[derive(Debug, Clone)]
pub(crate) struct WorkMetrics(Vec<(TaskType, HistogramHandle)>);

impl WorkMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Result<Self, MetricError> {
        let all = TaskType::ALL.into_iter().map(|task_type| {
            let seconds = ("oxicorn_task_duration_seconds", task_type.as_str());
            Ok((task_type, metrics.histogram(seconds)?))
        });
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    pub(crate) fn observe(&self, task_type: TaskType, seconds: f64) {
        let found = self.0.iter().find(|(it, _)| *it == task_type);
        if let Some((_, histogram)) = found {
            histogram.observe(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use oxicorn_common::metrics::{MetricKind, check};

    use super::*;

    /// Each has a row in docs/monitoring.md, with its label and its type.
    #[test]
    fn they_are_documented() {
        check(METRICS, true).expect("valid");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the project");
        let page = std::fs::read_to_string(root.join("docs/monitoring.md")).expect("a page");
        for metric in METRICS {
            let label = metric.label.map(|label| format!("{{{}}}", label.name));
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge | MetricKind::Maximum => "gauge",
                MetricKind::Histogram(_) => "histogram",
            };
            let row = format!(
                "| `{}{}` | {kind} | ",
                metric.name,
                label.unwrap_or_default()
            );
            assert!(page.contains(&row), "no row: {row}");
        }
    }
}
