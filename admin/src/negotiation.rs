//! Chooses the format of the metrics by the `Accept` field of a request (RFC 9110 section 12.5.1).

use oxicorn_common::Request;

use crate::exposition::ExpositionFormat;

/// OpenMetrics only for those who ask for its version 1 and would not rather have the other.
pub(crate) fn format_for(request: &Request) -> ExpositionFormat {
    let fields = request.head.fields();
    let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
    let texts: Vec<_> = fields
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    choose(texts.iter().flat_map(|it| it.split(',')))
}

fn choose<'a>(ranges: impl Iterator<Item = &'a str>) -> ExpositionFormat {
    let (mut open, mut text) = (0.0_f64, 0.0_f64);
    for range in ranges.map(MediaRange::parse) {
        match (&*range.name, range.version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => {
                open = open.max(range.quality)
            }
            ("text/plain", None | Some("0.0.4")) => text = text.max(range.quality),
            _ => {}
        }
    }
    match open > 0.0 && open >= text {
        true => ExpositionFormat::OpenMetrics,
        false => ExpositionFormat::Text,
    }
}

/// One of the types that a client takes.
struct MediaRange<'a> {
    name: String,
    version: Option<&'a str>,
    quality: f64,
}

impl<'a> MediaRange<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            name: parts.next().unwrap_or_default().to_ascii_lowercase(),
            version: None,
            quality: 1.0,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value),
                "q" => range.quality = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus 2.45 and 3.1 send them.
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

    #[test]
    fn those_who_prefer_openmetrics_get_it() {
        for accept in [
            PROMETHEUS_2,
            PROMETHEUS_3,
            "application/openmetrics-text",
            "text/plain;q=0.5, Application/OpenMetrics-Text; Version=\"1.0.0\"",
        ] {
            let format = choose(accept.split(','));
            assert_eq!(format, ExpositionFormat::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn all_others_get_text() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/json",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=none",
        ] {
            let format = choose(accept.split(','));
            assert_eq!(format, ExpositionFormat::Text, "{accept}");
        }
    }
}
