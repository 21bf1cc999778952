//! The metrics of the server: names, types, labels and meaning, and how a [`StatusReport`] becomes their figures.
//!
//! `docs/monitoring.md` has the same names and types; a test compares them. Every value of a label of a fixed set is there
//! from the start, at 0: `increase` would not see the step from nothing to 1.

use oxicorn_common::status::{
    ApplicationMetric, ApplicationValue, ChildStatus, ConnectionCounts, StatusReport,
};

use crate::exposition::{Exposition, ExpositionFormat, FamilyType};

use FamilyType::{Counter, Gauge, Histogram};

/// A response that was not there yet, so that there is a series to begin with.
const FIRST_RESPONSE: (&str, u16) = ("GET", 200);

/// All metrics of the server and of its application.
pub(crate) fn write(report: &StatusReport, format: ExpositionFormat) -> String {
    let mut out = Exposition::new(format);
    write_requests(report, &mut out);
    write_threads(report, &mut out);
    write_workers(report, &mut out);
    write_each_worker(report, &mut out);
    write_server(report, &mut out);
    for metric in &report.application {
        write_application(metric, &mut out);
    }
    out.finish()
}

fn write_requests(report: &StatusReport, out: &mut Exposition) {
    let requests = &report.requests;
    out.metric(
        "oxicorn_requests_total",
        Counter,
        "Responses, by method and status code.",
    );
    let is_first = |method: &str, code| (method, code) == FIRST_RESPONSE;
    let mut counts = requests.by_method_and_code.iter();
    if !counts.any(|it| is_first(it.method, it.code)) {
        out.sample(&[("method", "GET"), ("code", "200")], 0.0);
    }
    for response in &requests.by_method_and_code {
        let code = match response.code {
            0 => "other".to_owned(),
            class @ 1..10 => format!("{class}xx"),
            code => code.to_string(),
        };
        let labels = [("method", response.method), ("code", &code)];
        out.sample(&labels, response.count as f64);
    }
    out.metric(
        "oxicorn_requests_refused_total",
        Counter,
        "Requests that the server has refused, so that the application has not seen them, by reason.",
    );
    by_label(
        out,
        "reason",
        requests
            .refused
            .iter()
            .map(|(reason, count)| (*reason, *count)),
    );
    out.metric(
        "oxicorn_rate_limited_total",
        Counter,
        "Requests that a rule of rate_limits has refused.",
    );
    for limit in &report.rate_limits {
        out.sample(&[("rule", &limit.rule)], limit.refused as f64);
    }
    for (name, histogram, help) in [
        (
            "oxicorn_request_duration_seconds",
            &requests.duration,
            "From the whole request to the last byte of the response.",
        ),
        (
            "oxicorn_request_queue_seconds",
            &requests.queue,
            "How long a whole request waited for a thread.",
        ),
        (
            "oxicorn_request_proxy_queue_seconds",
            &requests.proxy_queue,
            "How long a request was at the proxy before, as X-Request-Start or X-Queue-Start say.",
        ),
    ] {
        out.metric(name, Histogram, help);
        out.histogram(&[], histogram);
    }
    let active = requests.active as f64;
    one(
        out,
        "oxicorn_requests_active",
        Gauge,
        "Requests inside the application.",
        active,
    );
    let received = requests.received_bytes as f64;
    one(
        out,
        "oxicorn_received_bytes_total",
        Counter,
        "Bytes from clients.",
        received,
    );
    let sent = requests.sent_bytes as f64;
    one(
        out,
        "oxicorn_sent_bytes_total",
        Counter,
        "Bytes to clients.",
        sent,
    );
}

fn write_threads(report: &StatusReport, out: &mut Exposition) {
    let ConnectionCounts {
        idle,
        reading,
        queued,
        running,
        writing,
    } = report.connections;
    let states = [
        ("idle", idle),
        ("reading", reading),
        ("queued", queued),
        ("running", running),
        ("writing", writing),
    ];
    out.metric(
        "oxicorn_connections",
        Gauge,
        "Connections of clients, by what they do.",
    );
    by_label(out, "state", states);
    let threads = |state: &str| {
        let threads = workers(report).flat_map(|it| &it.threads);
        threads.filter(|it| it.state == state).count() as u64
    };
    let states = ["idle", "running", "stuck", "reserve"].map(|state| (state, threads(state)));
    out.metric(
        "oxicorn_threads",
        Gauge,
        "Request threads, by what they do.",
    );
    by_label(out, "state", states);
    out.metric(
        "oxicorn_listen_backlog",
        Gauge,
        "Connections that wait to be accepted.",
    );
    for listener in &report.server.listeners {
        if let Some(backlog) = listener.backlog {
            out.sample(&[("listener", &listener.address)], backlog as f64);
        }
    }
}

fn write_workers(report: &StatusReport, out: &mut Exposition) {
    let count = |state: &str| workers(report).filter(|it| it.state == state).count() as u64;
    let states = ["booting", "ready", "draining"].map(|state| (state, count(state)));
    out.metric("oxicorn_workers", Gauge, "Workers, by state.");
    by_label(out, "state", states);
    let target = report.server.workers_target as f64;
    one(
        out,
        "oxicorn_workers_target",
        Gauge,
        "How many workers there should be.",
        target,
    );
    out.metric(
        "oxicorn_scaling_decisions_total",
        Counter,
        "Decisions of automatic scaling, by direction and cause.",
    );
    for it in &report.scalings {
        let labels = [("direction", it.direction), ("cause", it.cause)];
        out.sample(&labels, it.count as f64);
    }
    out.metric(
        "oxicorn_scaling_workers",
        Gauge,
        "The fewest and the most workers that automatic scaling may want.",
    );
    let fixed = report.server.workers_target;
    let scaling = report.server.scaling.as_ref();
    let (floor, most) = scaling.map_or((fixed, fixed), |it| (it.floor, it.most));
    by_label(
        out,
        "bound",
        [("floor", floor as u64), ("most", most as u64)],
    );
    out.metric(
        "oxicorn_worker_restarts_total",
        Counter,
        "Workers that were replaced, by reason.",
    );
    by_label(
        out,
        "reason",
        report
            .restarts
            .iter()
            .map(|(reason, count)| (*reason, *count)),
    );
}

/// The label is the number of the slot: pids would make a series for each worker that ever lived.
fn write_each_worker(report: &StatusReport, out: &mut Exposition) {
    type Figure = fn(&ChildStatus) -> f64;
    let figures: [(&str, FamilyType, &str, Figure); 3] = [
        (
            "oxicorn_worker_cpu_seconds_total",
            Counter,
            "Processor time of the worker that has the slot.",
            |it| it.cpu_seconds,
        ),
        (
            "oxicorn_worker_heartbeat_seconds",
            Gauge,
            "Since the event loop last turned.",
            |it| it.heartbeat_seconds,
        ),
        (
            "oxicorn_worker_longest_request_seconds",
            Gauge,
            "How long the oldest running request has run.",
            |it| it.longest_request_seconds,
        ),
    ];
    for (name, kind, help, figure) in figures {
        out.metric(name, kind, help);
        for worker in workers(report) {
            out.sample(&[("worker", &worker.slot.to_string())], figure(worker));
        }
    }
    let help = "Memory: pss divides shared pages among those that share them, rss does not.";
    out.metric("oxicorn_worker_memory_bytes", Gauge, help);
    for worker in workers(report) {
        let slot = worker.slot.to_string();
        let mut sample = |kind, bytes: u64| {
            out.sample(&[("worker", &slot), ("kind", kind)], bytes as f64);
        };
        if let Some(bytes) = worker.pss_bytes {
            sample("pss", bytes);
        }
        sample("rss", worker.rss_bytes);
    }
}

fn write_server(report: &StatusReport, out: &mut Exposition) {
    let (server, reloads) = (&report.server, &report.reloads);
    let timeout = server.timeout_seconds;
    one(
        out,
        "oxicorn_timeout_seconds",
        Gauge,
        "The setting timeout; 0 is none.",
        timeout,
    );
    let generation = f64::from(server.generation);
    one(
        out,
        "oxicorn_generation",
        Gauge,
        "The generation that serves.",
        generation,
    );
    out.metric("oxicorn_reloads_total", Counter, "Reloads, by result.");
    by_label(
        out,
        "result",
        [("ok", reloads.succeeded), ("failed", reloads.failed)],
    );
    let has_failed = reloads
        .history
        .last()
        .is_some_and(|it| it.failure.is_some());
    let last = if has_failed { 0.0 } else { 1.0 };
    let help = "0 if the last reload failed, otherwise 1.";
    one(out, "oxicorn_last_reload_successful", Gauge, help, last);
    let help = "When the master was started, in Unix time.";
    one(
        out,
        "oxicorn_start_time_seconds",
        Gauge,
        help,
        server.started_at,
    );
}

fn write_application(metric: &ApplicationMetric, out: &mut Exposition) {
    let kind = match metric.samples.first().map(|sample| &sample.value) {
        Some(ApplicationValue::Counter(_)) => Counter,
        Some(ApplicationValue::Gauge(_)) => Gauge,
        Some(ApplicationValue::Histogram(_)) => Histogram,
        None => return,
    };
    out.metric(&metric.name, kind, &metric.help);
    for sample in &metric.samples {
        let label = sample.label.as_ref();
        let label = label.map(|(name, value)| (name.as_str(), value.as_str()));
        let labels: Vec<_> = label.into_iter().collect();
        match &sample.value {
            ApplicationValue::Counter(value) | ApplicationValue::Gauge(value) => {
                out.sample(&labels, *value);
            }
            ApplicationValue::Histogram(histogram) => out.histogram(&labels, histogram),
        }
    }
}

/// The children that serve clients.
fn workers(report: &StatusReport) -> impl Iterator<Item = &ChildStatus> {
    report.workers.iter().filter(|it| it.kind == "worker")
}

/// A metric with one sample.
fn one(out: &mut Exposition, name: &str, kind: FamilyType, help: &str, value: f64) {
    out.metric(name, kind, help);
    out.sample(&[], value);
}

fn by_label<'a>(
    out: &mut Exposition,
    label: &str,
    counts: impl IntoIterator<Item = (&'a str, u64)>,
) {
    for (value, count) in counts {
        out.sample(&[(label, value)], count as f64);
    }
}

#[cfg(test)]
mod tests;
