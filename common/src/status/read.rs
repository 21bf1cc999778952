//! Reads a [`StatusReport`] from the scoreboard, and what the kernel knows of the children.
//!
//! Nothing here waits, and nothing believes what a child has written: lengths are bounded, numbers are added without
//! overflow, and texts are whatever they are, for the encoder to escape.

use crate::Scoreboard;
use crate::clock::monotonic_millis;
use crate::handoff::Handoff;
use crate::scoreboard::{
    Claim, DURATION_BOUNDS, RefusalReason, RestartReason, ScalingCause, Slot, SlotKind, Timed,
    Totals, bucket_upper_bound,
};

use super::process_usage::ProcessUsage;
use super::{
    ApplicationMetric, ChildStatus, ConnectionCounts, Histogram, ListenerStatus, RateLimitStatus,
    Reload, ReloadStatus, RequestStatus, ResponseCount, RunningRequest, ScalingChange,
    ScalingCount, ScalingStatus, ServerStatus, StatusReport, ThreadStatus,
};

/// What a report needs besides the scoreboard.
#[derive(Debug)]
pub struct StatusContext<'a> {
    pub scoreboard: &'a Scoreboard,
    pub handoff: &'a Handoff,
    pub application: String,
    pub threads_per_worker: usize,
    pub timeout_seconds: f64,
    pub listeners: Vec<ListenerStatus>,
    pub application_metrics: Vec<ApplicationMetric>,
    pub rate_limits: Vec<RateLimitStatus>,
}

impl StatusReport {
    /// Everything as it is now.
    pub fn read(context: StatusContext<'_>) -> Self {
        let board = context.scoreboard;
        let now = monotonic_millis();
        let (totals, mut by_slot) = board.totals_and_children();
        let mut workers: Vec<ChildStatus> = board
            .claimed()
            .filter_map(|(index, claim, slot)| {
                let kind = claim.kind()?;
                // None for a child that was claimed a moment ago.
                let totals = by_slot.remove(&index).unwrap_or_default();
                Some(read_child(index, kind, claim, slot, totals, now))
            })
            .collect();
        workers.sort_by_key(|child| child.age);
        let mut connections = ConnectionCounts {
            queued: context.handoff.queued(),
            ..ConnectionCounts::default()
        };
        let mut active = 0;
        let web = SlotKind::Worker.as_str();
        for child in workers.iter().filter(|child| child.kind == web) {
            connections.add(child.connections);
            active += child.connections.running;
        }
        Self {
            reloads: read_reloads(board, &totals),
            restarts: RestartReason::ALL
                .map(|reason| (reason.as_str(), totals.restarts(reason)))
                .into(),
            scalings: ScalingCause::ALL
                .map(|cause| ScalingCount {
                    direction: cause.direction(),
                    cause: cause.as_str(),
                    count: totals.scalings(cause),
                })
                .into(),
            requests: read_requests(&totals, active),
            connections,
            workers,
            rate_limits: context.rate_limits,
            application: context.application_metrics,
            server: ServerStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: board.master().pid(),
                application: context.application,
                started_at: board.master().started_at(),
                uptime_seconds: seconds_since(board.master().started(), now),
                generation: board.master().generation(),
                state: board.server_state().as_str(),
                workers_target: board.master().target(),
                scaling: read_scaling(board),
                threads_per_worker: context.threads_per_worker,
                timeout_seconds: context.timeout_seconds,
                listeners: context.listeners,
            },
        }
    }
}

impl ConnectionCounts {
    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.idle, other.idle),
            (&mut self.reading, other.reading),
            (&mut self.queued, other.queued),
            (&mut self.running, other.running),
            (&mut self.writing, other.writing),
        ];
        for (sum, count) in pairs {
            *sum = sum.saturating_add(count);
        }
    }
}

fn read_reloads(board: &Scoreboard, totals: &Totals) -> ReloadStatus {
    let (succeeded, failed) = totals.reloads();
    let mut history = board.master().reloads();
    // An outcome is known a second after the workers serve. By then the next reload may have failed.
    history.sort_by_key(|reload| reload.generation);
    ReloadStatus {
        succeeded,
        failed,
        history: history
            .into_iter()
            .map(|reload| Reload {
                at: reload.at,
                generation: reload.generation,
                failure: reload.failure,
            })
            .collect(),
    }
}

fn read_scaling(board: &Scoreboard) -> Option<ScalingStatus> {
    let page = board.master().scaling();
    let (floor, most) = page.bounds()?;
    let last = page.last().map(|last| ScalingChange {
        at: last.at,
        direction: last.cause.direction(),
        cause: last.cause.as_str(),
        from: last.from,
        to: last.to,
    });
    Some(ScalingStatus { floor, most, last })
}

fn read_requests(totals: &Totals, active: u64) -> RequestStatus {
    let responses = totals.responses();
    RequestStatus {
        active,
        total: totals.requests(),
        errors: totals.errors(),
        by_method_and_code: responses
            .map(|(method, code, count)| ResponseCount {
                method,
                code,
                count,
            })
            .collect(),
        refused: RefusalReason::ALL
            .map(|reason| (reason.as_str(), totals.refusals(reason)))
            .into(),
        received_bytes: totals.received_octets(),
        sent_bytes: totals.sent_octets(),
        duration: histogram_of(totals, Timed::Duration),
        latency: latency_of(totals),
        queue: histogram_of(totals, Timed::Queue),
        proxy_queue: histogram_of(totals, Timed::ProxyQueue),
    }
}

fn read_child(
    index: usize,
    kind: SlotKind,
    claim: Claim<'_>,
    slot: Slot<'_>,
    totals: Totals,
    now: u64,
) -> ChildStatus {
    let threads: Vec<ThreadStatus> = slot
        .threads()
        .enumerate()
        .map(|(index, _)| ThreadStatus::read(index, slot, now))
        .collect();
    let running = threads.iter().filter_map(|it| it.request.as_ref());
    let longest = running.map(|it| it.seconds).fold(0.0, f64::max);
    let running = threads.iter().filter(|it| it.request.is_some()).count() as u64;
    let states = slot.connection_states();
    // It has not turned yet.
    let beat = slot.heartbeat().max(claim.born());
    let usage = ProcessUsage::of(claim.pid()).unwrap_or_default();
    ChildStatus {
        slot: index,
        pid: claim.pid(),
        kind: kind.as_str(),
        age: claim.age(),
        generation: claim.generation(),
        state: slot.state().as_str(),
        uptime_seconds: seconds_since(claim.born(), now),
        heartbeat_seconds: seconds_since(beat, now),
        requests: totals.requests(),
        errors: totals.errors(),
        longest_request_seconds: longest,
        connections: ConnectionCounts {
            idle: states.idle,
            reading: states.reading,
            queued: states.away.saturating_sub(running),
            running,
            writing: states.writing,
        },
        latency: latency_of(&totals),
        cpu_seconds: usage.cpu_seconds,
        rss_bytes: usage.rss_bytes,
        pss_bytes: None,
        threads,
    }
}

impl ThreadStatus {
    /// The thread with this number as it is `now`, in milliseconds of the monotonic clock.
    pub fn read(index: usize, slot: Slot<'_>, now: u64) -> Self {
        let stats = slot.thread(index);
        let request = stats.started().map(|started| {
            // Without a text its time is worth showing.
            let text = stats.request().unwrap_or_default();
            RunningRequest {
                method: text.method,
                path: text.path,
                request_id: text.id,
                seconds: seconds_since(started, now),
            }
        });
        Self {
            index,
            state: match &request {
                None if index >= slot.serving_threads() => "reserve",
                None => "idle",
                Some(_) if stats.is_stuck() => "stuck",
                Some(_) => "running",
            },
            requests: stats.responses(),
            request,
        }
    }

    /// As JSON, for whoever cannot read the scoreboard at the same moment.
    pub fn to_json(&self) -> String {
        // Numbers and texts: there is nothing that JSON cannot have.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn histogram_of(totals: &Totals, timed: Timed) -> Histogram {
    let counts = totals.times(timed);
    let bounds = DURATION_BOUNDS.iter().map(|&bound| seconds(bound));
    Histogram {
        count: counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count)),
        sum: seconds(totals.sum(timed)),
        buckets: bounds.zip(counts.iter().copied()).collect(),
    }
}

/// The same times as those of [`Timed::Duration`], so their sum is known.
fn latency_of(totals: &Totals) -> Histogram {
    let counts = totals.latency();
    let buckets = counts.iter().enumerate();
    Histogram {
        count: counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count)),
        sum: seconds(totals.sum(Timed::Duration)),
        buckets: buckets
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (seconds(bucket_upper_bound(bucket)), *count))
            .collect(),
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// What lies in the future was now.
fn seconds_since(millis: u64, now: u64) -> f64 {
    now.saturating_sub(millis) as f64 / 1e3
}

#[cfg(test)]
mod tests;
