//! What the names, labels and bounds of an application's metrics must be like, so that Prometheus takes them and they
//! are not taken for others.

use super::definition::{Metric, MetricKind, MetricLabel};

/// Why the metrics of an application cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MetricError {
    #[error("metric {name:?}: {reason}")]
    Refused { name: String, reason: String },
    #[error(
        "the metrics of the application need {needed} words of shared memory, and {room} are left: give them fewer \
         label values or bounds (a new start frees what earlier reloads have taken)"
    )]
    NoRoom { needed: usize, room: usize },
    #[error("the application has no {0}: Application::metrics has to list it")]
    Unknown(String),
}

/// Ends of names that Prometheus gives a meaning of its own.
const SUFFIXES: [&str; 6] = ["_total", "_bucket", "_sum", "_count", "_created", "_info"];

/// The beginning of the names of the server's own metrics.
const OF_THE_SERVER: &str = "oxicorn_";

/// Checks the metrics of an application. Only one that comes with the server, `is_built_in`, may use its names.
pub fn check(metrics: &[Metric], is_built_in: bool) -> Result<(), MetricError> {
    for (index, metric) in metrics.iter().enumerate() {
        let found = metrics[..index].iter().find(|it| it.name == metric.name);
        let problem = match found {
            Some(_) => Some("is there twice".to_owned()),
            None => problem_of(metric, is_built_in),
        };
        if let Some(reason) = problem {
            let name = metric.name.to_owned();
            return Err(MetricError::Refused { name, reason });
        }
    }
    Ok(())
}

fn problem_of(metric: &Metric, is_built_in: bool) -> Option<String> {
    let problem = match metric {
        it if !is_identifier(it.name) => NAME.to_owned(),
        it if !is_built_in && it.name.starts_with(OF_THE_SERVER) => {
            format!("names that begin with {OF_THE_SERVER} are the server's own")
        }
        it if it.help.trim().is_empty() => "has no help text".to_owned(),
        it if it.kind == MetricKind::Counter && !it.name.ends_with("_total") => {
            "the name of a counter ends with _total".to_owned()
        }
        it if it.kind != MetricKind::Counter
            && SUFFIXES.iter().any(|end| it.name.ends_with(end)) =>
        {
            format!(
                "only the name of a counter ends with _total, and none with {}",
                SUFFIXES[1..].join(", ")
            )
        }
        Metric {
            kind: MetricKind::Histogram(bounds),
            ..
        } if !are_bounds(bounds) => {
            "its bounds must be numbers in ascending order, one at least".to_owned()
        }
        _ => return metric.label.as_ref().and_then(problem_of_label),
    };
    Some(problem)
}

const NAME: &str =
    "a name has the letters a to z and A to Z, digits and _, and does not begin with a digit";

fn problem_of_label(label: &MetricLabel) -> Option<String> {
    let MetricLabel { name, values } = label;
    let is_double = |(index, value): (usize, &&str)| values[..index].contains(value);
    let problem = match name {
        name if !is_identifier(name) => NAME,
        name if name.starts_with("__") || ["le", "quantile"].contains(name) => {
            "Prometheus uses that name itself"
        }
        _ if values.is_empty() => "it has no values",
        _ if values.iter().enumerate().any(is_double) => "a value is there twice",
        _ => return None,
    };
    Some(format!("label {name:?}: {problem}"))
}

fn is_identifier(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.starts_with(|it: char| it.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(is_part)
}

fn are_bounds(bounds: &[f64]) -> bool {
    let ascend = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    !bounds.is_empty() && ascend && bounds.iter().all(|bound| bound.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(metric: Metric) -> String {
        let refused = check(&[metric], false);
        refused.expect_err("it is refused").to_string()
    }

    #[test]
    fn names_are_those_that_prometheus_takes_and_expects() {
        let good = [
            Metric::counter("shop_orders_total", "Orders.").by("kind", &["a", "b c \" \\"]),
            Metric::gauge("_carts", "Carts."),
            Metric::histogram("price", "Prices.", &[-1.0, 0.0, 1e9]),
        ];
        assert_eq!(check(&good, false), Ok(()));
        for name in ["", "9lives", "a-b", "a:b", "größe", "a b"] {
            assert!(refusal(Metric::gauge(name, "x")).contains(NAME), "{name}");
        }
        for name in ["a", "a_total_", "total"] {
            assert!(refusal(Metric::counter(name, "x")).contains("ends with _total"));
        }
        for end in SUFFIXES {
            let name: &'static str = format!("a{end}").leak();
            assert!(refusal(Metric::gauge(name, "x")).contains(end), "{name}");
        }
        assert!(refusal(Metric::gauge("a", " ")).contains("help"));
        let twice = [Metric::gauge("a", "x"), Metric::histogram("a", "y", &[1.0])];
        let refused = check(&twice, false).expect_err("twice").to_string();
        assert_eq!(refused, "metric \"a\": is there twice");
    }

    #[test]
    fn the_names_of_the_server_are_its_own() {
        let metric = Metric::gauge("oxicorn_workers", "Workers by state.");
        assert!(refusal(metric).contains("the server's own"));
        assert_eq!(check(&[metric], true), Ok(()));
    }

    #[test]
    fn labels_and_bounds_are_checked() {
        let metric = Metric::gauge("a", "x");
        let cases: [(&str, &[&str], &str); 6] = [
            ("", &["a"], NAME),
            ("1", &["a"], NAME),
            ("__name", &["a"], "itself"),
            ("le", &["a"], "itself"),
            ("kind", &[], "no values"),
            ("kind", &["a", "b", "a"], "twice"),
        ];
        for (name, values, expected) in cases {
            let text = refusal(metric.by(name.to_owned().leak(), values.to_vec().leak()));
            assert!(text.contains(expected), "{text}");
        }
        let cases: [&'static [f64]; 4] = [&[], &[1.0, 1.0], &[2.0, 1.0], &[1.0, f64::INFINITY]];
        for bounds in cases {
            let text = refusal(Metric::histogram("a", "x", bounds));
            assert!(text.contains("ascending"), "{text}");
        }
        assert!(refusal(Metric::histogram("a", "x", &[f64::NAN])).contains("ascending"));
    }
}
