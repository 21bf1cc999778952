'use strict';

// What is computed from two reports of `status`. Nothing here touches the page.

// Figures are over this time, in seconds; curves have a point per report, over HISTORY.
const WINDOW = 10;
const HISTORY = 300;

// The difference of two histograms of the server: a list of [upper bound, count], and how many are above all bounds.
function histogramSince(before, after) {
  const old = new Map(before ? before.buckets : []);
  const buckets = after.buckets.map(([bound, count]) => [bound, count - (old.get(bound) || 0)]);
  const count = after.count - (before ? before.count : 0);
  return { count, sum: after.sum - (before ? before.sum : 0), buckets };
}

// The value that the share `part` of all is below, in seconds; null without a value. For buckets of a quarter of a power
// of two, in which the values are taken to be spread evenly.
function percentile(histogram, part) {
  if (!(histogram.count > 0)) return null;
  const rank = part * histogram.count;
  let below = 0, lower = 0;
  for (const [bound, count] of histogram.buckets) {
    if (count > 0 && below + count >= rank) {
      // Empty buckets may be missing, so the one before may be far away.
      const least = Math.max(lower, bound / 2 ** 0.25);
      return least + (bound - least) * (rank - below) / count;
    }
    below += count;
    lower = bound;
  }
  return lower;
}

// For histograms whose buckets are too wide for percentiles of short times.
function mean(histogram) {
  return histogram.count > 0 ? histogram.sum / histogram.count : null;
}

// Whether `after` continues the counters of `before`.
function continues(before, after) {
  return before.server.started_at === after.server.started_at && after.requests.total >= before.requests.total
    && after.server.uptime_seconds > before.server.uptime_seconds;
}

// The report that the window of the newest begins with.
function windowStart(reports) {
  const newest = reports[reports.length - 1];
  let start = newest;
  for (let at = reports.length - 2; at >= 0 && continues(reports[at], newest); at--) {
    const age = newest.server.uptime_seconds - reports[at].server.uptime_seconds;
    if (age > WINDOW + 0.5 && start !== newest) break;
    start = reports[at];
  }
  return start;
}

// What has happened between two reports; null if they are the same or the server has begun again in between.
function since(before, after) {
  if (before === after || !continues(before, after)) return null;
  const seconds = after.server.uptime_seconds - before.server.uptime_seconds;
  const requests = after.requests.total - before.requests.total;
  const errors = after.requests.errors - before.requests.errors;
  const latency = histogramSince(before.requests.latency, after.requests.latency);
  const queue = histogramSince(before.requests.queue, after.requests.queue);
  return {
    seconds,
    rate: requests / seconds,
    errors: requests > 0 ? errors / requests : null,
    p50: percentile(latency, 0.5), p95: percentile(latency, 0.95), p99: percentile(latency, 0.99),
    queue: mean(queue),
    active: after.requests.active,
    waiting: waiting(after),
  };
}

// Whole requests without a thread, and connections that nobody has accepted.
function waiting(report) {
  const backlogs = report.server.listeners.map((it) => it.backlog || 0);
  return connectionsOf(report).queued + backlogs.reduce((sum, it) => sum + it, 0);
}

function connectionsOf(report) {
  if (report.connections) return report.connections;
  const sum = { idle: 0, reading: 0, queued: 0, running: 0, writing: 0 };
  for (const worker of report.workers) {
    for (const state of Object.keys(sum)) sum[state] += worker.kind === 'worker' ? worker.connections[state] : 0;
  }
  return sum;
}

// As `since`, for one process of the last report: since it is there, if that is shorter.
function workerSince(reports, worker) {
  const same = (it) => it.pid === worker.pid && it.age === worker.age;
  const [before, after] = [reports.find((it) => it.workers.some(same)), reports[reports.length - 1]];
  if (!before || before === after) return { rate: null, cpu: null, p99: null };
  const old = before.workers.find(same);
  const seconds = after.server.uptime_seconds - before.server.uptime_seconds;
  return {
    rate: (worker.requests - old.requests) / seconds,
    cpu: (worker.cpu_seconds - old.cpu_seconds) / seconds,
    p99: percentile(histogramSince(old.latency, worker.latency), 0.99),
  };
}

function sumByCode(report) {
  const sums = new Map();
  for (const { code, count } of report ? report.requests.by_method_and_code : []) {
    sums.set(code, (sums.get(code) || 0) + count);
  }
  return sums;
}
