//! Metrics of the lab's own, what requests write to them, and what all processes together have.

use oxicorn_common::metrics::{Metric, Metrics};
use oxicorn_common::status::ApplicationValue;

static METRICS: [Metric; 4] = [
    Metric::counter("lab_balls_total", "Balls that were thrown.").by("colour", &["red", "blue"]),
    Metric::counter("lab_throws_total", "Requests that threw balls."),
    Metric::gauge("lab_level", "What was last set."),
    Metric::histogram("lab_size_bytes", "What was observed.", &[1.0, 10.0]),
];

/// Without one, with another, and one with more label values.
static OTHERS: [Metric; 4] = [
    Metric::gauge("lab_level", "What was last set."),
    Metric::counter("lab_balls_total", "Balls that were thrown.").by("colour", &["green", "red"]),
    Metric::counter("lab_others_total", "Throws of a later generation."),
    Metric::histogram("lab_size_bytes", "What was observed.", &[1.0, 10.0]),
];

static REFUSED: [Metric; 1] = [Metric::gauge("oxicorn_generation", "Not the lab's.")];

/// `LAB_METRICS` is a file that says which: `others`, `refused`, or else the first.
pub(crate) fn metrics() -> &'static [Metric] {
    let file = std::env::var_os("LAB_METRICS");
    let wanted = file.and_then(|file| std::fs::read_to_string(file).ok());
    match wanted.as_deref() {
        Some("others") => &OTHERS,
        Some("refused") => &REFUSED,
        _ => &METRICS,
    }
}

/// Throws so many `balls` of a `colour`, sets the `level`, and observes a `size`. Names what there is not.
pub(crate) fn write(query: &str, metrics: &Metrics) -> String {
    let word = |name| Some(super::word(query, name)).filter(|word| !word.is_empty());
    let written = || {
        if let Some(colour) = word("colour") {
            let balls = metrics.counter(("lab_balls_total", colour))?;
            balls.add(super::value(query, "balls", 1));
            let throws = metrics.counter("lab_throws_total");
            throws
                .or_else(|_| metrics.counter("lab_others_total"))?
                .inc();
        }
        if word("level").is_some() {
            let level = metrics.gauge("lab_level")?;
            level.set(super::value(query, "level", 0.0));
        }
        if word("size").is_some() {
            let size = metrics.histogram("lab_size_bytes")?;
            size.observe(super::value(query, "size", 0.0));
        }
        Ok::<_, oxicorn_common::metrics::MetricError>(())
    };
    written().map_or_else(|reason| reason.to_string(), |()| "written".to_owned())
}

/// A line per figure, as `lab_balls_total red 3`. A histogram has its count, its buckets and its sum.
pub(crate) fn read(metrics: &Metrics) -> String {
    let mut text = String::new();
    for metric in metrics.report() {
        for sample in metric.samples {
            text += &metric.name;
            if let Some((_, value)) = sample.label {
                text += &format!(" {value}");
            }
            text += &match sample.value {
                ApplicationValue::Counter(value) | ApplicationValue::Gauge(value) => {
                    format!(" {value}\n")
                }
                ApplicationValue::Histogram(it) => {
                    let counts: Vec<u64> = it.buckets.iter().map(|(_, count)| *count).collect();
                    format!(" {} {counts:?} {}\n", it.count, it.sum)
                }
            };
        }
    }
    text
}
