//! Names, types and labels are those of `docs/monitoring.md`, from the start and in both formats.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oxicorn_common::scoreboard::ScalingCause;
use oxicorn_common::status::{
    ApplicationSample, Histogram, ListenerStatus, RateLimitStatus, Reload, ResponseCount,
    ScalingCount, ScalingStatus, ThreadStatus,
};

use super::*;

/// Types by name, and the labels of each name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Catalog(BTreeMap<String, (String, BTreeSet<String>)>);

/// A server with one worker, in which nothing has happened.
fn fresh() -> StatusReport {
    let buckets = [0.005, 0.01, 10.0].map(|bound| (bound, 0));
    let histogram = Histogram {
        buckets: buckets.into(),
        ..Histogram::default()
    };
    let mut report = StatusReport::default();
    report.requests.duration = histogram.clone();
    report.requests.queue = histogram.clone();
    report.requests.proxy_queue = histogram;
    report.restarts = [
        "max_requests",
        "timeout",
        "memory",
        "oom",
        "signal",
        "crash",
        "exit",
        "boot",
        "age",
        "refork",
    ]
    .map(|reason| (reason, 0))
    .into();
    report.rate_limits = vec![RateLimitStatus {
        rule: "api".to_owned(),
        refused: 0,
    }];
    report.scalings = ScalingCause::ALL
        .map(|cause| ScalingCount {
            direction: cause.direction(),
            cause: cause.as_str(),
            count: 0,
        })
        .into();
    report.server.scaling = Some(ScalingStatus {
        floor: 2,
        most: 8,
        last: None,
    });
    report.requests.refused = ["client_gone", "max_queue", "queue_timeout", "rate_limit"]
        .map(|reason| (reason, 0))
        .into();
    report.server.listeners = vec![ListenerStatus {
        address: "127.0.0.1:8000".to_owned(),
        backlog: Some(0),
    }];
    let thread = |state| ThreadStatus {
        state,
        ..ThreadStatus::default()
    };
    let child = |kind, state| ChildStatus {
        kind,
        state,
        pss_bytes: Some(1),
        threads: vec![thread("idle"), thread("running")],
        ..ChildStatus::default()
    };
    report.workers = vec![
        child("worker", "ready"),
        child("runner", "ready"),
        child("admin", "ready"),
    ];
    report
}

/// Reads the text format as a scraper does: `# TYPE`, and the labels of samples.
fn read(text: &str) -> Catalog {
    let mut found = Catalog::default();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (family, kind) = kind.split_once(' ').expect("a type");
            name = family.to_owned();
            let entry = (kind.to_owned(), BTreeSet::new());
            assert!(
                found.0.insert(name.clone(), entry).is_none(),
                "{name} twice"
            );
        } else if !line.starts_with('#') {
            let (sample, _) = line.rsplit_once(' ').expect("a value");
            assert!(sample.starts_with(&name), "{sample} under {name}");
            let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
            let labels = labels.trim_end_matches('}').split(',');
            let labels = labels
                .filter_map(|it| it.split_once('='))
                .map(|(label, _)| label);
            let labels = labels.filter(|label| *label != "le").map(str::to_owned);
            found.0.get_mut(&name).expect("a type").1.extend(labels);
        }
    }
    found
}

/// The tables of the page: name and labels in the first column, the type in the second.
fn documented(heading: &str) -> Catalog {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, rest) = page.split_once(heading).expect("the table");
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let mut found = Catalog::default();
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        for name in columns[1]
            .split('`')
            .filter(|it| it.starts_with("oxicorn_"))
        {
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let labels = labels.trim_end_matches('}').split(',');
            let labels = labels
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect();
            found
                .0
                .insert(name.to_owned(), (columns[2].to_owned(), labels));
        }
    }
    found
}

#[test]
fn names_types_and_labels_are_those_of_the_page() {
    let written = read(&write(&fresh(), ExpositionFormat::Text));
    let documented = documented("## Metrics");
    assert!(documented.0.len() > 20);
    assert_eq!(written, documented);
}

#[test]
fn every_value_of_a_fixed_set_is_there_from_the_start() {
    let text = write(&fresh(), ExpositionFormat::Text);
    let sets = [
        (
            "oxicorn_connections",
            "state",
            &["idle", "reading", "queued", "running", "writing"][..],
        ),
        ("oxicorn_threads", "state", &["idle", "running", "stuck"]),
        (
            "oxicorn_workers",
            "state",
            &["booting", "ready", "draining"],
        ),
        ("oxicorn_reloads_total", "result", &["ok", "failed"]),
        (
            "oxicorn_worker_restarts_total",
            "reason",
            &[
                "max_requests",
                "timeout",
                "memory",
                "oom",
                "signal",
                "crash",
                "exit",
                "boot",
                "age",
                "refork",
            ],
        ),
        (
            "oxicorn_requests_refused_total",
            "reason",
            &["client_gone", "max_queue", "queue_timeout", "rate_limit"],
        ),
        (
            "oxicorn_worker_memory_bytes{worker=\"0\",kind",
            "",
            &["pss", "rss"],
        ),
    ];
    for (name, label, values) in sets {
        for value in values {
            let sample = match label {
                "" => format!("\n{name}=\"{value}\"}} "),
                label => format!("\n{name}{{{label}=\"{value}\"}} "),
            };
            assert!(text.contains(&sample), "{sample}{text}");
        }
    }
}

#[test]
fn only_workers_are_counted() {
    let text = write(&fresh(), ExpositionFormat::Text);
    assert!(text.contains("\noxicorn_workers{state=\"ready\"} 1\n"));
    assert!(text.contains("\noxicorn_threads{state=\"idle\"} 1\n"));
}

#[test]
fn a_failed_reload_is_seen_until_the_next_good_one() {
    let mut report = fresh();
    let line = |report: &StatusReport| {
        let text = write(report, ExpositionFormat::Text);
        let mut lines = text.lines();
        let found = lines.find(|it| it.starts_with("oxicorn_last_reload_successful "));
        found.map(str::to_owned)
    };
    assert_eq!(
        line(&report).as_deref(),
        Some("oxicorn_last_reload_successful 1")
    );
    report.reloads.history.push(Reload {
        failure: Some("no file".to_owned()),
        ..Reload::default()
    });
    assert_eq!(
        line(&report).as_deref(),
        Some("oxicorn_last_reload_successful 0")
    );
    report.reloads.history.push(Reload::default());
    assert_eq!(
        line(&report).as_deref(),
        Some("oxicorn_last_reload_successful 1")
    );
}

#[test]
fn both_formats_have_the_same_samples() {
    let mut report = fresh();
    report.requests.by_method_and_code = vec![ResponseCount {
        method: "other",
        code: 0,
        count: 3,
    }];
    report.application = vec![ApplicationMetric {
        name: "shop_orders_total".to_owned(),
        help: "Orders.".to_owned(),
        samples: vec![ApplicationSample {
            label: Some(("kind".to_owned(), "a \"b\"".to_owned())),
            value: ApplicationValue::Counter(2.0),
        }],
    }];
    let samples = |format| {
        let text = write(&report, format);
        let lines = text.lines().filter(|it| !it.starts_with('#'));
        let lines = lines.filter(|it| !it.contains("le=\"")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let text = samples(ExpositionFormat::Text);
    assert_eq!(text, samples(ExpositionFormat::OpenMetrics));
    let wanted = [
        r#"oxicorn_requests_total{method="GET",code="200"} 0"#,
        r#"oxicorn_requests_total{method="other",code="other"} 3"#,
        r#"shop_orders_total{kind="a \"b\""} 2"#,
    ];
    for line in wanted {
        assert!(text.iter().any(|it| it == line), "{line}");
    }
}
