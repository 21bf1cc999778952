//! [`RateLimiter`]: the rules as a worker applies them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::rate_limits::{
    BucketKey, LimitKey, LimitVerdict, LimitedRule, RateLimitSet, ShownFields,
};
use oxicorn_common::request::{Peer, RequestHead};
use oxicorn_common::settings::Peers;
use oxicorn_common::{Response, ResponseBody, Settings};

use super::client_address::LimitedClient;
use super::limit_fields::{LimitFields, whole_seconds};
use super::path_match::PathMatch;

#[derive(Debug)]
pub(crate) struct RateLimiter {
    set: Arc<RateLimitSet>,
    /// Peers that may name clients.
    believed: Peers,
    /// Whether it matters who the client is.
    names_client: bool,
    /// Whether responses that pass have fields.
    shows: bool,
}

/// A bucket that a request is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitCharge {
    /// The number of the rule.
    pub(crate) rule: usize,
    pub(crate) key: BucketKey,
}

/// A request may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitRefusal {
    /// The number of the rule that makes it wait longest.
    pub(crate) rule: usize,
    pub(crate) wait: Duration,
}

impl RateLimiter {
    pub(crate) fn new(set: Arc<RateLimitSet>, settings: &Settings) -> Self {
        let mut rules = set.rules.iter().map(|it| &it.rule);
        let names_client =
            !set.allowed.is_empty() || rules.clone().any(|it| it.by == LimitKey::Client);
        Self {
            believed: settings.proxy.forwarded_peers.clone(),
            names_client,
            shows: rules.any(|it| it.shown == ShownFields::Always),
            set,
        }
    }

    pub(crate) fn rules(&self) -> &[LimitedRule] {
        &self.set.rules
    }

    /// Counts a request. `charges` becomes the buckets that it belongs to.
    pub(crate) fn check(
        &self,
        head: &RequestHead,
        peer: Peer,
        now: Instant,
        charges: &mut Vec<LimitCharge>,
    ) -> Option<LimitRefusal> {
        self.find_charges(head, peer, charges);
        // Nothing is taken for a request that another rule refuses.
        if charges.len() > 1 {
            let looked = charges
                .iter()
                .filter_map(|it| self.refusal(*it, |table, key| table.look(key, now)));
            if let Some(refusal) = looked.max_by_key(|it| it.wait) {
                return Some(refusal);
            }
        }
        let taken = charges
            .iter()
            .filter_map(|it| self.refusal(*it, |table, key| table.take(key, now)));
        taken.max_by_key(|it| it.wait)
    }

    /// The answer to a request that is refused.
    pub(crate) fn answer(
        &self,
        refusal: LimitRefusal,
        charges: &[LimitCharge],
        now: Instant,
    ) -> Response {
        let mut fields = LimitFields::default();
        self.add_fields(charges, now, &mut fields, |shown| {
            shown != ShownFields::Never
        });
        let rule = &self.set.rules[refusal.rule].rule;
        let retry_after = whole_seconds(refusal.wait).to_string();
        let mut response =
            Response::new(StatusCode::TOO_MANY_REQUESTS).field("Retry-After", retry_after);
        for (name, value) in fields.fields() {
            response = response.field(name, value.to_owned());
        }
        // The problem type of section 5.1 of the draft. Names need no escape.
        let (kind, body) = match rule.shown {
            ShownFields::Never => ("text/plain", "429 Too Many Requests\n".to_owned()),
            _ => (
                "application/problem+json",
                format!(
                    r#"{{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429,"violated-policies":["{}"]}}"#,
                    rule.name
                ) + "\n",
            ),
        };
        response
            .field("Content-Type", kind)
            .body(ResponseBody::Bytes(body.into_bytes()))
    }

    /// Whether [`RateLimiter::describe`] may have anything to say.
    pub(crate) fn shows(&self) -> bool {
        self.shows
    }

    /// The fields of the response to a request that has passed.
    pub(crate) fn describe(
        &self,
        head: &RequestHead,
        peer: Peer,
        now: Instant,
        charges: &mut Vec<LimitCharge>,
        fields: &mut LimitFields,
    ) {
        self.find_charges(head, peer, charges);
        self.add_fields(charges, now, fields, |shown| shown == ShownFields::Always);
    }

    /// The client of a request, for the log.
    pub(crate) fn client(&self, head: &RequestHead, peer: Peer) -> LimitedClient {
        LimitedClient::of(peer, head, &self.believed)
    }

    fn add_fields(
        &self,
        charges: &[LimitCharge],
        now: Instant,
        fields: &mut LimitFields,
        is_shown: impl Fn(ShownFields) -> bool,
    ) {
        for (index, charge) in charges.iter().enumerate() {
            let LimitedRule { rule, table, .. } = &self.set.rules[charge.rule];
            // A rule has several buckets if a field is repeated: the first stands for all.
            let is_first = charges[..index].iter().all(|it| it.rule != charge.rule);
            if is_first && is_shown(rule.shown) {
                let (left, wait) = table.standing(charge.key, now);
                fields.add(rule, left, wait);
            }
        }
    }

    fn refusal(
        &self,
        charge: LimitCharge,
        judge: impl Fn(&oxicorn_common::rate_limits::BucketTable, BucketKey) -> LimitVerdict,
    ) -> Option<LimitRefusal> {
        match judge(&self.set.rules[charge.rule].table, charge.key) {
            LimitVerdict::Passed { .. } => None,
            LimitVerdict::Refused { wait } => Some(LimitRefusal {
                rule: charge.rule,
                wait,
            }),
        }
    }

    fn find_charges(&self, head: &RequestHead, peer: Peer, charges: &mut Vec<LimitCharge>) {
        charges.clear();
        self.each_key(head, peer, |rule, octets| {
            let key = self.set.rules[rule].table.key(octets);
            let charge = LimitCharge { rule, key };
            if !charges.contains(&charge) {
                charges.push(charge);
            }
        });
    }

    /// Calls `found` with each rule that a request fits, and the octets that it is counted under.
    fn each_key(&self, head: &RequestHead, peer: Peer, mut found: impl FnMut(usize, &[u8])) {
        let client = self.names_client.then(|| self.client(head, peer));
        if client.is_some_and(|it| it.is_among(&self.set.allowed)) {
            return;
        }
        let path = PathMatch::new(head.path_octets());
        let method = head.method_octets();
        for (index, LimitedRule { rule, .. }) in self.set.rules.iter().enumerate() {
            let fits_path = |prefix: &String| path.is_below(prefix.as_bytes());
            if !(rule.paths.is_empty() || rule.paths.iter().any(fits_path)) {
                continue;
            }
            if !(rule.methods.is_empty() || rule.methods.iter().any(|it| fits_method(it, method))) {
                continue;
            }
            match &rule.by {
                LimitKey::Client => {
                    if let Some(client) = client {
                        found(index, client.key().octets());
                    }
                }
                // Applications differ in which of several lines counts for them. So all do here.
                LimitKey::Header(name) => {
                    for (_, value) in head
                        .fields()
                        .filter(|(it, _)| it.eq_ignore_ascii_case(name))
                    {
                        if !value.is_empty() {
                            found(index, value);
                        }
                    }
                }
                LimitKey::Server => found(index, &[]),
            }
        }
    }
}

/// Applications answer HEAD as they answer GET.
fn fits_method(rule: &str, method: &[u8]) -> bool {
    rule.as_bytes() == method || (rule == "GET" && method == b"HEAD")
}
