//! [`RateLimiter`]: the rules as a worker applies them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::rate_limits::{
    BucketKey, LimitKey, LimitVerdict, LimitedRule, RateLimitRule, RateLimitSet, ShownFields,
};
use oxicorn_common::request::{Peer, Request, RequestHead};
use oxicorn_common::settings::Peers;
use oxicorn_common::{Response, ResponseBody, Settings};
use ring::digest;

use super::client_address::LimitedClient;
use super::limit_fields::{LimitFields, LimitText, whole_seconds};
use super::limit_script::LimitScript;
use super::path_match::PathMatch;
use super::redis_endpoint::RedisEndpoint;

#[derive(Debug)]
pub(crate) struct RateLimiter {
    set: Arc<RateLimitSet>,
    /// Peers that may name clients.
    believed: Peers,
    /// Where the application is mounted; empty is the root.
    mount: String,
    /// Whether it matters who the client is.
    names_client: bool,
    /// Whether it matters what the path is.
    names_path: bool,
    /// What response fields say of each rule.
    texts: Vec<LimitText>,
    redis: Option<Arc<RedisEndpoint>>,
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
        let timeout = settings.rate_limits.redis_timeout;
        let rules = || set.rules.iter().map(|it| &it.rule);
        let has_client_rules = rules().any(|it| it.by == LimitKey::Client);
        Self {
            believed: settings.proxy.forwarded_peers.clone(),
            mount: match settings.proxy.root_path.as_str() {
                "" => std::env::var("SCRIPT_NAME").unwrap_or_default(),
                root_path => root_path.to_owned(),
            },
            names_client: has_client_rules || !set.allowed.is_empty(),
            names_path: rules().any(|it| !it.paths.is_empty()),
            texts: rules().map(LimitText::new).collect(),
            redis: set.redis.as_ref().map(|url| {
                let endpoint = RedisEndpoint::new(url.clone(), set.outage.clone(), timeout);
                Arc::new(endpoint)
            }),
            set,
        }
    }

    pub(crate) fn rules(&self) -> &[LimitedRule] {
        &self.set.rules
    }

    /// Counts a request. `charges` becomes the buckets that it belongs to, `fields` those of the response if it passes.
    pub(crate) fn check(
        &self,
        head: &RequestHead,
        peer: Peer,
        now: Instant,
        charges: &mut Vec<LimitCharge>,
        fields: &mut LimitFields,
    ) -> Option<LimitRefusal> {
        fields.begin();
        self.find_charges(head, peer, charges);
        // Nothing is taken for a request that another rule refuses.
        if charges.len() > 1 {
            let looked = charges.iter().filter_map(|charge| {
                let table = &self.set.rules[charge.rule].table;
                refusal(*charge, table.look(charge.key, now))
            });
            if let Some(refusal) = looked.max_by_key(|it| it.wait) {
                return Some(refusal);
            }
        }
        let taken = charges.iter().enumerate().filter_map(|(index, charge)| {
            let LimitedRule { rule, table, .. } = &self.set.rules[charge.rule];
            let verdict = table.take(charge.key, now);
            if let LimitVerdict::Passed { left, wait } = verdict
                && rule.shown == ShownFields::Always
                && is_first(charges, index)
            {
                fields.add(&self.texts[charge.rule], left, wait);
            }
            refusal(*charge, verdict)
        });
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
        fields.begin();
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

    pub(crate) fn redis(&self) -> Option<&Arc<RedisEndpoint>> {
        self.redis.as_ref()
    }

    /// Counts a request in Redis, and makes the fields of its response. `None` if Redis cannot be asked; the error is the
    /// answer to a request that may not pass. What all hosts together have used up, no request of this host gets any more: its
    /// own buckets are held back.
    pub(crate) fn check_remote(
        &self,
        script: &mut LimitScript,
        request: &Request,
        charges: &mut Vec<LimitCharge>,
        fields: &mut LimitFields,
    ) -> Option<Result<(), Response>> {
        charges.clear();
        let (head, peer) = (&request.head, request.peer);
        let mut buckets = Vec::new();
        self.each_key(head, peer, |index, octets| {
            let LimitedRule { rule, table, .. } = &self.set.rules[index];
            let key = table.key(octets);
            let charge = LimitCharge { rule: index, key };
            if !charges.contains(&charge) {
                charges.push(charge);
                buckets.push((rule, self.remote_key(rule, octets, request)));
            }
        });
        if charges.is_empty() {
            fields.begin();
            return Some(Ok(()));
        }
        let standings = script.count(&buckets)?;
        let now = Instant::now();
        fields.begin();
        let mut worst: Option<LimitRefusal> = None;
        for (index, (charge, standing)) in charges.iter().zip(&standings).enumerate() {
            let (rule, wait) = (charge.rule, standing.wait);
            if !wait.is_zero() {
                self.set.rules[rule].table.hold(charge.key, now, wait);
                if worst.is_none_or(|it| it.wait < wait) {
                    worst = Some(LimitRefusal { rule, wait });
                }
            } else if self.set.rules[rule].rule.shown == ShownFields::Always
                && is_first(charges, index)
            {
                let interval = self.set.rules[rule].rule.interval();
                fields.add(&self.texts[rule], standing.left, interval);
            }
        }
        Some(match worst {
            None => Ok(()),
            Some(refusal) => {
                fields.begin();
                self.set.rules[refusal.rule].counters.count_refused();
                Err(self.answer(refusal, charges, now))
            }
        })
    }

    /// The name of a bucket in Redis. Values of fields may be secret, so there is only their hash.
    fn remote_key(&self, rule: &RateLimitRule, octets: &[u8], request: &Request) -> String {
        let name = &rule.name;
        match rule.by {
            LimitKey::Client => {
                let client = self.client(&request.head, request.peer);
                format!("oxicorn:limit:{name}:{client}")
            }
            LimitKey::Header(_) => {
                let hash = digest::digest(&digest::SHA256, octets);
                let half = hash.as_ref().iter().take(16);
                let hash: String = half.map(|octet| format!("{octet:02x}")).collect();
                format!("oxicorn:limit:{name}:{hash}")
            }
            LimitKey::Server => format!("oxicorn:limit:{name}:all"),
        }
    }

    /// The fields of the response to a request that another process has let pass.
    pub(crate) fn describe(
        &self,
        head: &RequestHead,
        peer: Peer,
        now: Instant,
        charges: &mut Vec<LimitCharge>,
        fields: &mut LimitFields,
    ) {
        fields.begin();
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
            if is_shown(rule.shown) && is_first(charges, index) {
                let (left, wait) = table.standing(charge.key, now);
                fields.add(&self.texts[charge.rule], left, wait);
            }
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
        // Only a proxy may send this field, unless a setting permits it to everybody. In any case a path can only fit more
        // rules by it.
        let fields = head
            .field_octets()
            .filter(|(name, _)| self.names_path && name.eq_ignore_ascii_case(b"script_name"));
        let mounts = fields
            .map(|(_, value)| value)
            .chain([self.mount.as_bytes()]);
        let path = PathMatch::new(head.path_octets(), mounts);
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
                    let fields = head.field_octets();
                    for (_, value) in fields.filter(|(it, _)| is_same_field(it, name)) {
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

fn refusal(charge: LimitCharge, verdict: LimitVerdict) -> Option<LimitRefusal> {
    match verdict {
        LimitVerdict::Passed { .. } => None,
        LimitVerdict::Refused { wait } => Some(LimitRefusal {
            rule: charge.rule,
            wait,
        }),
    }
}

/// A rule has several buckets if a field is repeated: the first stands for all.
fn is_first(charges: &[LimitCharge], index: usize) -> bool {
    let rule = charges[index].rule;
    charges[..index].iter().all(|it| it.rule != rule)
}

/// In the environment of WSGI a hyphen is an underscore. Where `header_map` lets such names through, they are the same field.
fn is_same_field(name: &[u8], rule: &str) -> bool {
    let plain = |it: u8| {
        if it == b'_' {
            b'-'
        } else {
            it.to_ascii_lowercase()
        }
    };
    name.len() == rule.len() && name.iter().copied().map(plain).eq(rule.bytes().map(plain))
}

/// Applications answer HEAD as they answer GET.
fn fits_method(rule: &str, method: &[u8]) -> bool {
    rule.as_bytes() == method || (rule == "GET" && method == b"HEAD")
}
