//! Requests over a rate limit: the reactor refuses them as soon as their heads are whole, so that they cost no thread, no
//! memory for a body and no time of the application.

use std::time::{Duration, Instant};

use log::warn;
use oxicorn_common::request::Request;
use oxicorn_common::scoreboard::RefusalReason;

use super::Reactor;
use crate::connection::{Connection, ConnectionState};
use crate::rate_limits::{LimitCharge, LimitFields, LimitRefusal, LimitedClient, RateLimiter};

/// How often a worker looks for refusals that the log has not mentioned.
const LOOK: Duration = Duration::from_secs(1);

/// What the reactor remembers for the limits.
#[derive(Debug)]
pub(super) struct LimitState {
    /// The buckets of the latest request; kept for its memory.
    charges: Vec<LimitCharge>,
    /// What the latest response with a file says of the limits.
    fields: LimitFields,
    /// The client that this worker has refused last, by rule.
    latest: Vec<Option<LimitedClient>>,
    look_at: Instant,
}

impl LimitState {
    pub(super) fn new(rules: usize, now: Instant) -> Self {
        Self {
            charges: Vec::new(),
            fields: LimitFields::default(),
            latest: vec![None; rules],
            look_at: now,
        }
    }

    /// The lines that tell the client about its limits, in a response that the reactor makes to a request of `connection`.
    pub(super) fn lines(
        &mut self,
        limiter: Option<&RateLimiter>,
        connection: &mut Connection,
        request: &Request,
        now: Instant,
    ) -> &[u8] {
        let (charges, fields) = (&mut self.charges, &mut self.fields);
        if let Some(limiter) = limiter {
            connection.move_limits(fields);
            // A sibling has counted it.
            if !fields.is_settled() {
                limiter.describe(&request.head, request.peer, now, charges, fields);
            }
        }
        fields.lines()
    }
}

impl Reactor {
    /// Counts the request whose head has just become whole.
    pub(super) fn limit(&mut self, connection: &mut Connection) -> Option<LimitRefusal> {
        let limiter = self.shared.rate_limiter.as_ref()?;
        // A sibling that has read the whole request has counted it.
        if connection.lifecycle().keeps_place() || self.is_health_check(connection) {
            return None;
        }
        let peer = connection.peer();
        let (head, fields) = connection.head_and_limits()?;
        limiter.check(head, peer, self.now, &mut self.limits.charges, fields)
    }

    /// Answers 429. What has come of the body is skipped; if more of it is to come, the connection ends, because nobody would
    /// read it.
    pub(super) fn answer_limited(
        &mut self,
        mut connection: Box<Connection>,
        refusal: LimitRefusal,
    ) {
        let Some(limiter) = self.shared.rate_limiter.as_ref() else {
            return self.close(connection);
        };
        self.shared
            .slot()
            .event_loop()
            .count_refusal(RefusalReason::RateLimit);
        limiter.rules()[refusal.rule].counters.count_refused();
        if let Some(head) = connection.head() {
            self.limits.latest[refusal.rule] = Some(limiter.client(head, connection.peer()));
        }
        let response = limiter.answer(refusal, &self.limits.charges, self.now);
        self.report_limited(refusal.rule);
        let is_whole = connection.skip_body(&self.shared.rules);
        let may_stay = is_whole && self.shared.keeps_alive(connection.transport().is_tls());
        let date = self.date.at(self.now);
        let ids = &mut self.request_ids;
        let after = connection.begin_refusal(response, may_stay, self.now, date, ids);
        // Far shorter than what one turn may send.
        let _ = connection.flush(after);
        if !matches!(connection.state(), ConnectionState::Sending(_)) {
            self.end_response(&mut connection);
        }
        self.go_on_after_own(connection);
    }

    /// Reports once a second what the log has not mentioned yet.
    pub(super) fn report_all_limited(&mut self) {
        let Some(limiter) = self.shared.rate_limiter.as_ref() else {
            return;
        };
        if self.now >= self.limits.look_at {
            self.limits.look_at = self.now + LOOK;
            for rule in 0..limiter.rules().len() {
                self.report_limited(rule);
            }
        }
    }

    fn report_limited(&self, rule: usize) {
        let Some(limiter) = self.shared.rate_limiter.as_ref() else {
            return;
        };
        let limited = &limiter.rules()[rule];
        let Some(summary) = limited.counters.take_summary() else {
            return;
        };
        let (name, refused) = (&limited.rule.name, summary.refused);
        let requests = if refused == 1 { "request" } else { "requests" };
        let span = match summary.span {
            Some(span) => format!(" in the last {} s", span.as_secs()),
            None => String::new(),
        };
        let latest = match self.limits.latest[rule] {
            Some(client) => format!(", the latest of {client}"),
            None => String::new(),
        };
        warn!("Rate limit {name}: refused {refused} {requests}{span}{latest}");
    }
}
