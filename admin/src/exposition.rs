//! The two text formats that Prometheus reads: its own, and OpenMetrics 1.0.
//!
//! They are written here and not by the crate `prometheus-client`, because that writes OpenMetrics only. `promtool check
//! metrics`, and servers and agents that do not ask for OpenMetrics, read the older one. The figures are no objects that
//! count, either, but are read at each scrape, so nothing of a registry would be used.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::Write;

use oxicorn_common::status::Histogram;

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpositionFormat {
    /// Version 0.0.4.
    Text,
    OpenMetrics,
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FamilyType {
    Counter,
    Gauge,
    Histogram,
}

impl ExpositionFormat {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl FamilyType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Names and values of the labels of one sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text that grows by one metric after the other.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: ExpositionFormat,
    text: String,
    /// The name that the samples have.
    name: String,
}

impl Exposition {
    pub(crate) fn new(format: ExpositionFormat) -> Self {
        Self {
            format,
            text: String::with_capacity(64 * 1024),
            name: String::new(),
        }
    }

    /// Begins a metric; its samples follow.
    pub(crate) fn metric(&mut self, name: &str, kind: FamilyType, help: &str) {
        name.clone_into(&mut self.name);
        // In OpenMetrics the suffix of a counter belongs to the sample.
        let family = match (self.format, kind) {
            (ExpositionFormat::OpenMetrics, FamilyType::Counter) => {
                name.strip_suffix("_total").unwrap_or(name)
            }
            _ => name,
        };
        let quotes = self.format == ExpositionFormat::OpenMetrics;
        let (help, kind) = (escape(help, quotes), kind.as_str());
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
    }

    /// A sample of a counter or a gauge.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.line("", labels, None, &number(value));
    }

    /// The samples of a histogram.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut below = 0_u64;
        for &(bound, count) in &histogram.buckets {
            below = below.saturating_add(count);
            let bound = self.bound(bound);
            self.line("_bucket", labels, Some(&bound), &below.to_string());
        }
        // What is read while it grows must still not fall from bucket to bucket.
        let count = histogram.count.max(below).to_string();
        self.line("_bucket", labels, Some("+Inf"), &count);
        self.line("_sum", labels, None, &number(histogram.sum));
        self.line("_count", labels, None, &count);
    }

    pub(crate) fn finish(mut self) -> String {
        if self.format == ExpositionFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: &str) {
        let text = &mut self.text;
        text.push_str(&self.name);
        text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(bound.map(|it| ("le", it))) {
            let value = escape(value, true);
            let _ = write!(text, "{before}{name}=\"{value}\"");
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }

    /// A bound as a label: OpenMetrics wants a number that shows that it may have a fraction.
    fn bound(&self, bound: f64) -> String {
        match self.format {
            ExpositionFormat::Text => number(bound),
            ExpositionFormat::OpenMetrics => format!("{bound:?}"),
        }
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(write: impl Fn(&mut Exposition)) -> [String; 2] {
        [ExpositionFormat::Text, ExpositionFormat::OpenMetrics].map(|format| {
            let mut exposition = Exposition::new(format);
            write(&mut exposition);
            exposition.finish()
        })
    }

    #[test]
    fn a_counter_has_its_suffix_where_each_format_wants_it() {
        let [text, open] = both(|it| {
            it.metric("a_total", FamilyType::Counter, "All \"a\".");
            it.sample(&[("method", "GET"), ("code", "200")], 1e15);
        });
        let sample = "a_total{method=\"GET\",code=\"200\"} 1000000000000000\n";
        assert_eq!(
            text,
            format!("# HELP a_total All \"a\".\n# TYPE a_total counter\n{sample}")
        );
        assert_eq!(
            open,
            format!("# HELP a All \\\"a\\\".\n# TYPE a counter\n{sample}# EOF\n")
        );
    }

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram {
            count: 7,
            sum: 12.5,
            buckets: vec![(0.005, 1), (10.0, 3)],
        };
        let [text, open] = both(|it| {
            it.metric("a_seconds", FamilyType::Histogram, "A.");
            it.histogram(&[("type", "x")], &histogram);
        });
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"a_seconds_bucket{type="x",le="0.005"} 1"#,
                r#"a_seconds_bucket{type="x",le="10"} 4"#,
                r#"a_seconds_bucket{type="x",le="+Inf"} 7"#,
                r#"a_seconds_sum{type="x"} 12.5"#,
                r#"a_seconds_count{type="x"} 7"#,
            ]
        );
        assert!(open.contains(r#"le="10.0"} 4"#), "{open}");
    }

    #[test]
    fn what_would_end_a_value_or_a_line_is_escaped() {
        let [text, _] = both(|it| {
            it.metric("a", FamilyType::Gauge, "One\\two\nthree.");
            it.sample(&[("x", "a\"b\\c\nd")], f64::NAN);
        });
        assert_eq!(
            text,
            "# HELP a One\\\\two\\nthree.\n# TYPE a gauge\na{x=\"a\\\"b\\\\c\\nd\"} NaN\n"
        );
    }
}
