//! The figures of the metrics as plain values, for whoever shows them.

use super::catalog::{CatalogEntry, CatalogKind};
use super::memory::MetricMemory;
use crate::status::{ApplicationMetric, ApplicationSample, ApplicationValue, Histogram};

impl MetricMemory {
    /// Every metric of the application with its figures, summed over the children. One that a reload has taken out stays,
    /// as its counts do.
    pub fn report(&self) -> Vec<ApplicationMetric> {
        let catalog = self.catalog();
        let sums = self.sums(&catalog.words());
        catalog.newest().map(|entry| metric(entry, &sums)).collect()
    }
}

fn metric(entry: &CatalogEntry, sums: &[u64]) -> ApplicationMetric {
    let samples = entry.series.iter().map(|series| ApplicationSample {
        label: entry.label.clone().map(|name| (name, series.value.clone())),
        value: value(&entry.kind, &sums[series.word..]),
    });
    ApplicationMetric {
        name: entry.name.clone(),
        help: entry.help.clone(),
        samples: samples.collect(),
    }
}

/// The figure that begins with the first of `sums`.
fn value(kind: &CatalogKind, sums: &[u64]) -> ApplicationValue {
    match kind {
        CatalogKind::Counter => ApplicationValue::Counter(sums[0] as f64),
        CatalogKind::Gauge | CatalogKind::Maximum => {
            ApplicationValue::Gauge(f64::from_bits(sums[0]))
        }
        CatalogKind::Histogram(bounds) => {
            let counts = &sums[..=bounds.len()];
            let bounds = bounds.iter().map(|bits| f64::from_bits(*bits));
            ApplicationValue::Histogram(Histogram {
                count: counts.iter().sum(),
                sum: f64::from_bits(sums[counts.len()]),
                buckets: bounds.zip(counts.iter().copied()).collect(),
            })
        }
    }
}
