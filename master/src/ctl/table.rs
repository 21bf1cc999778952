//! The children of a server in a table.

use super::figures::WorkerFigures;
use super::units::{printable, time};

/// A line per child. Without `seconds` between two answers there are no rates, and times are of all requests so far.
pub(super) fn table(
    workers: &[WorkerFigures],
    before: &[WorkerFigures],
    seconds: Option<f64>,
    columns: usize,
) -> String {
    let mut text = format!(
        "{:>8} {:<8} {:<8} {:>4} {:>10} {:>9} {:>7} {:>9} {:>9} {:>6} {:>9}  RUNS\n",
        "PID",
        "KIND",
        "STATE",
        "GEN",
        "REQUESTS",
        "RATE",
        "BUSY",
        "AVERAGE",
        "P99",
        "CPU",
        "MEMORY",
    );
    let none = WorkerFigures::default();
    for worker in workers {
        let earlier = before
            .iter()
            .find(|it| it.pid == worker.pid)
            .unwrap_or(&none);
        let latency = worker.latency.since(&earlier.latency);
        let per_second =
            |now: f64, before: f64| seconds.map(|it| (now - before).max(0.0) / it.max(0.001));
        let is_known = earlier.pid != 0;
        let rate = per_second(worker.requests as f64, earlier.requests as f64);
        let cpu = per_second(worker.cpu_seconds, earlier.cpu_seconds).filter(|_| is_known);
        let line = format!(
            "{:>8} {:<8} {:<8} {:>4} {:>10} {:>9} {:>7} {:>9} {:>9} {:>6} {:>9}  {}",
            worker.pid,
            worker.kind,
            worker.state,
            worker.generation,
            worker.requests,
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}/s")),
            format!("{}/{}", worker.busy, worker.threads),
            time(latency.average()),
            time(latency.quantile(0.99)),
            cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{:.0}%", cpu * 100.0)),
            format!("{:.1} MiB", worker.rss_bytes as f64 / 1_048_576.0),
            runs(worker),
        );
        let line: String = line.chars().take(columns).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What its threads run, the longest first.
fn runs(worker: &WorkerFigures) -> String {
    let requests = worker.running.iter();
    let requests = requests.map(|(seconds, request)| {
        let seconds = time(Some(*seconds));
        format!("{} ({seconds})", printable(request))
    });
    requests.collect::<Vec<_>>().join(", ")
}
