//! Requests that the application holds for longer than `timeout`: the leader answers 504 in their place, and asks the
//! master for another worker. The thread is not interrupted; when the application returns, its result is discarded.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use log::{Level, log};
use oxicorn_common::scoreboard::RestartReason;

use super::TURN;
use crate::http::date::DateCache;
use crate::in_flight::{CalledRequest, InFlight};
use crate::reactor::Reactor;
use crate::request_ids::IdField;
use crate::response::{AccessRecord, ResponseWriter};
use crate::stack_trace;
use crate::timed_call::{CallTime, Lateness, Warning};
use crate::worker_shared::WorkerShared;

/// Answers for threads whose application has exceeded `timeout`, and returns the time until the next one will
/// exceed it, or `slow_request`. `busy` if a thread may run the application.
pub(super) fn check(shared: &Arc<WorkerShared>, reactor: &mut Reactor, busy: bool) -> Duration {
    let mut next = warn_of_slow(shared, reactor.now(), busy);
    let limit = shared.settings.timeout;
    if limit.is_zero() {
        return next;
    }
    let now = reactor.now();
    for (index, in_flight) in shared.in_flight.iter().enumerate() {
        // Someone may be debugging.
        if shared.settings.reload.enabled {
            warn_of_late(shared, in_flight, limit, now);
            continue;
        }
        match in_flight.check(limit, now) {
            CallTime::NoCall => {}
            CallTime::Left(left) => next = next.min(left),
            CallTime::Over {
                call,
                age,
                answered,
            } => {
                reactor.count_timeout();
                let stats = shared.slot().thread(index);
                stats.set_stuck(call.facts.number);
                let line = call.line();
                let _scope = call.tag().enter();
                answer(shared, call, answered, now);
                let thread = in_flight.thread().unwrap_or(0);
                let what = match answered {
                    true => "response timed out, without another piece",
                    false => "request timed out",
                };
                let age = age.as_secs_f64();
                let text = format!("{what} after {age:.1} s (timeout): {line}");
                log_with_stack(shared, Level::Error, text, thread);
                shared.master.ask_for_replacement(RestartReason::Timeout);
                shared.call_abort_hook();
            }
        }
    }
    next
}

/// Logs requests that take longer than `slow_request`, and returns the time until the next one will.
fn warn_of_slow(shared: &WorkerShared, now: Instant, busy: bool) -> Duration {
    let slow = &shared.access_log.slow;
    let Some(limit) = slow.limit() else {
        return TURN;
    };
    slow.report_missing(now);
    // A call that is just about to begin is not seen yet.
    let mut next = if busy { TURN.min(limit) } else { TURN };
    for in_flight in &shared.in_flight {
        match in_flight.warn(Warning::Slow, limit, now) {
            Lateness::NoCall => {}
            Lateness::Left(left) => next = next.min(left),
            Lateness::Due(late) if slow.may_have_stack(now) => {
                let _scope = late.tag.enter();
                let thread = in_flight.thread().unwrap_or(0);
                let (line, age) = (late.line, late.age.as_secs_f64());
                let text = format!("Slow request (slow_request): {line} after {age:.3} s");
                log_with_stack(shared, Level::Warn, text, thread);
            }
            Lateness::Due(_) => {}
        }
    }
    next
}

fn warn_of_late(shared: &WorkerShared, in_flight: &InFlight, limit: Duration, now: Instant) {
    if let Lateness::Due(late) = in_flight.warn(Warning::Late, limit, now) {
        let _scope = late.tag.enter();
        let thread = in_flight.thread().unwrap_or(0);
        let text = format!(
            "{} takes longer than timeout ({} s), and is left alone because of reload",
            late.line,
            limit.as_secs_f64()
        );
        log_with_stack(shared, Level::Warn, text, thread);
    }
}

/// Ends the connection of a request that timed out, with 504 if the response has not begun.
fn answer(shared: &WorkerShared, call: CalledRequest, answered: bool, now: Instant) {
    let Some(transport) = call.transport else {
        return;
    };
    let facts = call.facts;
    if answered {
        // If the body ends with the connection, only a reset shows the client that it is incomplete.
        transport.socket().reset();
    } else {
        let status = StatusCode::GATEWAY_TIMEOUT;
        let mut date = DateCache::new();
        let mut writer = ResponseWriter::default();
        let id = IdField::of(shared.settings.request_id.as_deref(), &call.head.id);
        let sent = writer.begin_error(status, "", Some(&call.head), id, date.at(now));
        // If the socket has no room for a hundred bytes, the client reads nothing anyway.
        let _ = writer.flush(&transport);
        let stats = shared.slot().event_loop();
        stats.count_octets(0, writer.total());
        transport.finish();
        let started = call.started.unwrap_or(now);
        let record = AccessRecord::new(sent, started, facts.scheme, Vec::new());
        let mut record = record.with_arrival(facts.arrival);
        record.busy = now.saturating_duration_since(started);
        let (log, head) = (&shared.access_log, &call.head);
        log.write(head, &facts.identity, &record, now, stats);
    }
    transport.socket().shutdown(Shutdown::Both);
}

/// Logs `text` and the stack of `thread`: at once where the application says it, else when its functions are named.
fn log_with_stack(shared: &WorkerShared, level: Level, text: String, thread: libc::pid_t) {
    let text = format!("{text}; thread {thread} is at:");
    if let Some(stack) = shared.app.stack_of(thread) {
        log!(level, "{text}\n{stack}");
    } else if let Some(frames) = stack_trace::of_thread(thread) {
        shared.stack_log.add(level, text, &frames);
    } else {
        log!(level, "{text}\n  (no answer from the thread)");
    }
}
