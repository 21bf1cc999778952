//! [`ThreadLimits`]: what a request thread does about the limits of a request that the event loop has let pass: it counts the
//! request in Redis, where that is set, and has the fields of the response.

use std::sync::Arc;
use std::time::Instant;

use oxicorn_common::Response;
use oxicorn_common::request::Request;

use super::limit_fields::LimitFields;
use super::limit_script::LimitScript;
use super::rate_limiter::{LimitCharge, RateLimiter};
use crate::connection::Connection;

#[derive(Debug, Default)]
pub(crate) struct ThreadLimits {
    fields: LimitFields,
    charges: Vec<LimitCharge>,
    script: Option<LimitScript>,
}

impl ThreadLimits {
    pub(crate) fn new(limiter: Option<&RateLimiter>) -> Self {
        let endpoint = limiter.and_then(RateLimiter::redis);
        Self {
            script: endpoint.map(|it| LimitScript::new(Arc::clone(it))),
            ..Self::default()
        }
    }

    /// Returns the answer to the request of `connection` if it may not pass after all.
    pub(crate) fn begin(
        &mut self,
        limiter: &RateLimiter,
        connection: &mut Connection,
        request: &Request,
        now: Instant,
    ) -> Option<Response> {
        connection.move_limits(&mut self.fields);
        let Self {
            fields,
            charges,
            script,
        } = self;
        if let Some(script) = script
            && let Some(outcome) = limiter.check_remote(script, request, charges, fields)
        {
            return outcome.err();
        }
        // A sibling has counted it.
        if !fields.is_settled() {
            limiter.describe(&request.head, request.peer, now, charges, fields);
        }
        None
    }

    /// Whole lines for the response.
    pub(crate) fn lines(&self) -> &[u8] {
        self.fields.lines()
    }
}
