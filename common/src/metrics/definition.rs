//! [`Metric`]: one metric of an application, as its table has it.

/// A figure that an application keeps. All processes of the server count together; where they are read they are summed.
///
/// ```
/// use oxicorn_common::metrics::Metric;
///
/// static METRICS: [Metric; 3] = [
///     Metric::counter("shop_orders_total", "Orders.").by("payment", &["card", "cash"]),
///     Metric::gauge("shop_carts", "Carts that are open."),
///     Metric::histogram("shop_price_euros", "Prices of orders.", &[10.0, 100.0, 1000.0]),
/// ];
/// ```
///
/// Names follow Prometheus: letters, digits and `_`, the unit at the end, `_total` after it for counters and only for
/// them. `oxicorn_` is for the server's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    /// One sentence for who reads the figures.
    pub help: &'static str,
    pub kind: MetricKind,
    /// Without one there is a single figure.
    pub label: Option<MetricLabel>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Only grows, also when the process that counted has ended.
    Counter,
    /// Goes up and down. What all processes have set is added up; what one has set ends with it.
    Gauge,
    /// A gauge of something that all processes have in common, 0 or more: not the sum counts but the highest.
    Maximum,
    /// Counts values by size: those up to each of these bounds, in ascending order, and those above the last.
    Histogram(&'static [f64]),
}

/// A label with all of its values: each has a figure of its own, from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricLabel {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

impl Metric {
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Counter)
    }

    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Gauge)
    }

    pub const fn maximum(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricKind::Maximum)
    }

    pub const fn histogram(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Self {
        Self::new(name, help, MetricKind::Histogram(bounds))
    }

    /// The same with a figure for each value of a label.
    #[must_use]
    pub const fn by(mut self, name: &'static str, values: &'static [&'static str]) -> Self {
        self.label = Some(MetricLabel { name, values });
        self
    }

    const fn new(name: &'static str, help: &'static str, kind: MetricKind) -> Self {
        Self {
            name,
            help,
            kind,
            label: None,
        }
    }
}
