//! Which words of a slot are whose: every metric that was ever placed, as text in the shared memory itself.
//!
//! It only grows. A generation with other metrics adds lines, and a series (a metric with one value of its label) that is
//! there already keeps its words. So a slot needs no layout of its own: each word means the same in all slots, whichever
//! generation and whichever master its child belongs to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::{Metric, MetricKind};

/// One line: a metric as one generation has it. The last line with a name is the one that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CatalogEntry {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: CatalogKind,
    pub(super) label: Option<String>,
    pub(super) series: Vec<CatalogSeries>,
}

/// As [`MetricKind`]; the bounds by their bits, because JSON may round them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CatalogKind {
    Counter,
    Gauge,
    Maximum,
    Histogram(Vec<u64>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CatalogSeries {
    /// The value of the label; empty if there is none.
    pub(super) value: String,
    /// Its first word.
    pub(super) word: usize,
}

/// How words of different processes become one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordKind {
    /// A whole number that only grows.
    Count,
    /// The bits of a number that only grows, or at least outlives its process.
    Sum,
    /// The bits of a number that ends with its process.
    Level,
    /// The same, of which only the highest counts.
    Highest,
}

impl CatalogKind {
    fn of(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter,
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Maximum => Self::Maximum,
            MetricKind::Histogram(bounds) => {
                Self::Histogram(bounds.iter().map(|bound| bound.to_bits()).collect())
            }
        }
    }

    /// The words of one series. A histogram has one per bound, one for what is above, and one for the sum.
    pub(super) fn words(&self) -> Vec<WordKind> {
        match self {
            Self::Counter => vec![WordKind::Count],
            Self::Gauge => vec![WordKind::Level],
            Self::Maximum => vec![WordKind::Highest],
            Self::Histogram(bounds) => {
                let mut words = vec![WordKind::Count; bounds.len() + 1];
                words.push(WordKind::Sum);
                words
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct MetricCatalog(Vec<CatalogEntry>);

impl MetricCatalog {
    /// Reads its lines. One that cannot be read is left out: a later program may write others.
    pub(super) fn read(text: &[u8]) -> Self {
        let lines = text.split(|&byte| byte == b'\n');
        Self(
            lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
        )
    }

    /// The kind of each word that is taken.
    pub(super) fn words(&self) -> Vec<WordKind> {
        let mut all = Vec::new();
        for entry in &self.0 {
            let kinds = entry.kind.words();
            for series in &entry.series {
                let end = series.word + kinds.len();
                all.resize(end.max(all.len()), WordKind::Count);
                all[series.word..end].copy_from_slice(&kinds);
            }
        }
        all
    }

    /// The metrics as they are now, in the order in which they were first placed.
    pub(super) fn newest(&self) -> impl Iterator<Item = &CatalogEntry> {
        let is_first = |(at, entry): &(usize, &CatalogEntry)| {
            !self.0[..*at]
                .iter()
                .any(|earlier| earlier.name == entry.name)
        };
        let names = self.0.iter().enumerate().filter(is_first);
        names.filter_map(|(_, first)| self.0.iter().rfind(|entry| entry.name == first.name))
    }

    /// Gives each series of `metrics` its words: those that it had, or else new ones. Returns the lines to add.
    pub(super) fn place(&mut self, metrics: &'static [Metric]) -> (MetricPlaces, Vec<u8>) {
        let (mut places, mut lines) = (Vec::new(), Vec::new());
        for metric in metrics {
            let entry = self.entry_of(metric);
            places.push((*metric, entry.series.iter().map(|it| it.word).collect()));
            let known = self.0.iter().rfind(|it| it.name == entry.name);
            if known != Some(&entry) {
                // A map of texts and numbers is always JSON.
                lines.extend(serde_json::to_vec(&entry).unwrap_or_default());
                lines.push(b'\n');
                self.0.push(entry);
            }
        }
        (MetricPlaces(places.into()), lines)
    }

    fn entry_of(&self, metric: &Metric) -> CatalogEntry {
        let kind = CatalogKind::of(metric.kind);
        let label = metric.label.map(|label| label.name.to_owned());
        let size = kind.words().len();
        let mut next = self.words().len();
        let values = metric.label.map_or(&[""][..], |label| label.values);
        let series = values.iter().map(|value| {
            let before = self.find(metric.name, &kind, label.as_deref(), value);
            let word = before.unwrap_or_else(|| {
                next += size;
                next - size
            });
            CatalogSeries {
                value: (*value).to_owned(),
                word,
            }
        });
        CatalogEntry {
            series: series.collect(),
            name: metric.name.to_owned(),
            help: metric.help.to_owned(),
            kind,
            label,
        }
    }

    /// The words that this series has had in any generation.
    fn find(
        &self,
        name: &str,
        kind: &CatalogKind,
        label: Option<&str>,
        value: &str,
    ) -> Option<usize> {
        let same = |it: &&CatalogEntry| {
            it.name == name && it.kind == *kind && it.label.as_deref() == label
        };
        let mut series = self.0.iter().filter(same).flat_map(|it| &it.series);
        series.find(|it| it.value == value).map(|it| it.word)
    }
}

/// The words of each series of one generation's metrics.
#[derive(Debug, Clone)]
pub struct MetricPlaces(Arc<[(Metric, Vec<usize>)]>);

impl MetricPlaces {
    /// The metric, and the first word of the series with this label value; `None` if there is no such series.
    pub(super) fn find(&self, name: &str, value: Option<&str>) -> Option<(&Metric, usize)> {
        let (metric, words) = self.0.iter().find(|(metric, _)| metric.name == name)?;
        let index = match (metric.label, value) {
            (None, None) => 0,
            (Some(label), Some(value)) => label.values.iter().position(|it| *it == value)?,
            _ => return None,
        };
        Some((metric, words[index]))
    }
}
