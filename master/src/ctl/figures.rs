//! The figures of one worker in one answer to `status`, and what has happened between two of them.

use serde_json::Value;

/// What a worker has done so far, and does now.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct WorkerFigures {
    pub(super) pid: i64,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) generation: u64,
    pub(super) requests: u64,
    /// Those that serve.
    pub(super) threads: usize,
    pub(super) reserve: usize,
    pub(super) busy: usize,
    pub(super) stuck: usize,
    pub(super) cpu_seconds: f64,
    pub(super) rss_bytes: u64,
    pub(super) latency: Latency,
    /// What its threads run, the longest first: seconds and the request.
    pub(super) running: Vec<(f64, String)>,
}

/// Counts of requests by the time that they took: upper bound in seconds and count.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Latency {
    count: u64,
    sum: f64,
    buckets: Vec<(f64, u64)>,
}

/// All children of one answer.
pub(super) fn workers_in(status: &Value) -> Vec<WorkerFigures> {
    let workers = status["workers"].as_array().into_iter().flatten();
    workers.map(WorkerFigures::of).collect()
}

impl WorkerFigures {
    fn of(worker: &Value) -> Self {
        let threads = worker["threads"].as_array().map_or(&[][..], Vec::as_slice);
        let in_state = |state: &str| threads.iter().filter(|it| it["state"] == state).count();
        let requests = threads.iter().filter_map(|it| it["request"].as_object());
        let mut running: Vec<(f64, String)> = requests
            .map(|request| {
                let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
                let seconds = request
                    .get("seconds")
                    .and_then(Value::as_f64)
                    .unwrap_or(0.0);
                (seconds, format!("{} {}", text("method"), text("path")))
            })
            .collect();
        running.sort_by(|one, other| other.0.total_cmp(&one.0));
        let text = |key: &str| worker[key].as_str().unwrap_or_default().to_owned();
        let stuck = in_state("stuck");
        Self {
            pid: worker["pid"].as_i64().unwrap_or(0),
            kind: text("kind"),
            state: text("state"),
            generation: worker["generation"].as_u64().unwrap_or(0),
            requests: worker["requests"].as_u64().unwrap_or(0),
            threads: threads.len() - in_state("reserve"),
            reserve: in_state("reserve"),
            busy: in_state("running") + stuck,
            stuck,
            cpu_seconds: worker["cpu_seconds"].as_f64().unwrap_or(0.0),
            rss_bytes: worker["rss_bytes"].as_u64().unwrap_or(0),
            latency: Latency::of(&worker["latency"]),
            running,
        }
    }
}

impl Latency {
    pub(super) fn of(histogram: &Value) -> Self {
        let buckets = histogram["buckets"].as_array().into_iter().flatten();
        Self {
            count: histogram["count"].as_u64().unwrap_or(0),
            sum: histogram["sum"].as_f64().unwrap_or(0.0),
            buckets: buckets
                .filter_map(|bucket| Some((bucket[0].as_f64()?, bucket[1].as_u64()?)))
                .collect(),
        }
    }

    /// What has come since `before`. Another process may have the figures now: then it is everything.
    pub(super) fn since(&self, before: &Self) -> Self {
        if before.count > self.count {
            return self.clone();
        }
        let earlier = |bound: f64| {
            let mut buckets = before.buckets.iter();
            buckets.find(|it| it.0 == bound).map_or(0, |it| it.1)
        };
        let buckets = self.buckets.iter();
        Self {
            count: self.count - before.count,
            sum: (self.sum - before.sum).max(0.0),
            buckets: buckets
                .map(|&(bound, count)| (bound, count.saturating_sub(earlier(bound))))
                .collect(),
        }
    }

    /// The average in seconds.
    pub(super) fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The time in seconds within which this part of all requests was done, rounded up to a bound.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = (self.count as f64 * part).ceil().max(1.0);
        let mut seen = 0.0;
        let bounds = self.buckets.iter().map(|&(bound, count)| {
            seen += count as f64;
            (bound, seen)
        });
        let found = bounds
            .collect::<Vec<_>>()
            .into_iter()
            .find(|it| it.1 >= wanted);
        let last = self.buckets.last().map(|it| it.0);
        found.map(|it| it.0).or(last).filter(|_| self.count > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentiles_and_averages_are_of_the_time_between() {
        let before = json!({"count": 100, "sum": 100.0, "buckets": [[1.0, 100]]});
        let now =
            json!({"count": 200, "sum": 101.0, "buckets": [[0.01, 98], [0.5, 1], [1.0, 101]]});
        let (before, now) = (Latency::of(&before), Latency::of(&now));
        let between = now.since(&before);
        assert_eq!(between.average(), Some(0.01));
        assert_eq!(between.quantile(0.5), Some(0.01));
        assert_eq!(between.quantile(0.99), Some(0.5));
        assert_eq!(between.quantile(1.0), Some(1.0));
        let nothing = now.since(&now);
        assert_eq!((nothing.average(), nothing.quantile(0.99)), (None, None));
        assert_eq!(before.since(&now), before, "another process");
    }

    #[test]
    fn a_worker_shows_what_runs_longest_first() {
        let worker = json!({
            "pid": 7, "kind": "worker", "state": "ready", "requests": 3,
            "threads": [
                {"state": "idle", "request": null},
                {"state": "reserve", "request": null},
                {"state": "running", "request": {"method": "GET", "path": "/a", "seconds": 1.0}},
                {"state": "stuck", "request": {"method": "PUT", "path": "/b", "seconds": 40.5}},
            ],
        });
        let figures = WorkerFigures::of(&worker);
        assert_eq!((figures.threads, figures.reserve), (3, 1));
        assert_eq!((figures.busy, figures.stuck), (2, 1));
        assert_eq!(figures.running[0], (40.5, "PUT /b".to_owned()));
    }
}
