//! [`Metrics`]: how a child counts. A handle is found once, by name, and then writes to its words: no lock, no
//! allocation, no system call, from any thread.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalog::MetricPlaces;
use super::check::MetricError;
use super::definition::{Metric, MetricKind};
use super::memory::{MetricMemory, add_to};
use crate::shared_memory::SharedMemory;
use crate::status::ApplicationMetric;

/// The metrics of the application, as one child writes them.
#[derive(Debug, Clone)]
pub struct Metrics {
    memory: MetricMemory,
    slot: usize,
    places: MetricPlaces,
}

/// Names one figure: a metric, `"shop_carts"`, and the value of its label if it has one, `("shop_orders_total", "card")`.
#[derive(Debug, Clone, Copy)]
pub struct SeriesName<'a> {
    metric: &'a str,
    value: Option<&'a str>,
}

impl<'a> From<&'a str> for SeriesName<'a> {
    fn from(metric: &'a str) -> Self {
        let value = None;
        Self { metric, value }
    }
}

impl<'a> From<(&'a str, &'a str)> for SeriesName<'a> {
    fn from((metric, value): (&'a str, &'a str)) -> Self {
        let value = Some(value);
        Self { metric, value }
    }
}

impl fmt::Display for SeriesName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{:?} with the label value {value:?}", self.metric),
            None => write!(f, "{:?} without a label", self.metric),
        }
    }
}

impl Metrics {
    /// The handles of the child in slot `slot`.
    pub fn new(memory: MetricMemory, slot: usize, places: MetricPlaces) -> Self {
        Self {
            memory,
            slot,
            places,
        }
    }

    /// Those of a process that shares them with no other, such as a test.
    pub fn unshared(metrics: &'static [Metric]) -> io::Result<Self> {
        let (memory, _) = MetricMemory::new()?;
        let places = memory.place(metrics, true).map_err(io::Error::other)?;
        memory.claim(0);
        Ok(Self::new(memory, 0, places))
    }

    /// The error says that the application has no such counter. So do those of the other two.
    pub fn counter<'a>(
        &self,
        name: impl Into<SeriesName<'a>>,
    ) -> Result<CounterHandle, MetricError> {
        let is_one = |kind| (kind == MetricKind::Counter).then_some(());
        let ((), words) = self.find("counter", name.into(), is_one)?;
        Ok(CounterHandle(words))
    }

    pub fn gauge<'a>(&self, name: impl Into<SeriesName<'a>>) -> Result<GaugeHandle, MetricError> {
        let is_one = |kind| match kind {
            MetricKind::Gauge | MetricKind::Maximum => Some(()),
            _ => None,
        };
        let ((), words) = self.find("gauge", name.into(), is_one)?;
        Ok(GaugeHandle(words))
    }

    pub fn histogram<'a>(
        &self,
        name: impl Into<SeriesName<'a>>,
    ) -> Result<HistogramHandle, MetricError> {
        let bounds_of = |kind| match kind {
            MetricKind::Histogram(bounds) => Some(bounds),
            _ => None,
        };
        let (bounds, words) = self.find("histogram", name.into(), bounds_of)?;
        Ok(HistogramHandle { words, bounds })
    }

    /// The figures of all processes of the server.
    pub fn report(&self) -> Vec<ApplicationMetric> {
        self.memory.report()
    }

    fn find<T>(
        &self,
        kind: &str,
        name: SeriesName<'_>,
        accept: impl Fn(MetricKind) -> Option<T>,
    ) -> Result<(T, SeriesWords), MetricError> {
        let found = self.places.find(name.metric, name.value);
        let found = found.and_then(|(metric, word)| Some((accept(metric.kind)?, word)));
        let (accepted, offset) =
            found.ok_or_else(|| MetricError::Unknown(format!("{kind} {name}")))?;
        let words = SeriesWords {
            memory: self.memory.words.clone(),
            first: self.memory.start_of_own(self.slot) + offset,
        };
        Ok((accepted, words))
    }
}

/// The words of one series in the slot of this process.
#[derive(Debug, Clone)]
struct SeriesWords {
    memory: SharedMemory,
    first: usize,
}

impl SeriesWords {
    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.memory[self.first + offset]
    }
}

/// Counts.
#[derive(Debug, Clone)]
pub struct CounterHandle(SeriesWords);

impl CounterHandle {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, amount: u64) {
        self.0.word(0).fetch_add(amount, Ordering::Relaxed);
    }
}

/// Sets a figure that goes up and down.
#[derive(Debug, Clone)]
pub struct GaugeHandle(SeriesWords);

impl GaugeHandle {
    pub fn set(&self, value: f64) {
        self.0.word(0).store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn add(&self, amount: f64) {
        add_to(self.0.word(0), amount);
    }

    pub fn inc(&self) {
        self.add(1.0);
    }

    pub fn dec(&self) {
        self.add(-1.0);
    }
}

/// Counts values by size.
#[derive(Debug, Clone)]
pub struct HistogramHandle {
    words: SeriesWords,
    bounds: &'static [f64],
}

impl HistogramHandle {
    /// A value that is no number is left out: it would spoil the sum for good.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.words.word(bucket).fetch_add(1, Ordering::Relaxed);
        add_to(self.words.word(self.bounds.len() + 1), value);
    }
}
