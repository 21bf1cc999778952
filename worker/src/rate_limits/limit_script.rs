//! [`LimitScript`]: counts a request in Redis, in all buckets that it belongs to or in none. One per request thread.
//!
//! The script reads the clock of Redis, so those of the hosts do not matter. A bucket is one key, as it is one word here
//! (`BucketTable`): the time in microseconds at which it will be full again, when it also expires.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use oxicorn_common::rate_limits::RateLimitRule;

use super::redis_endpoint::RedisEndpoint;
use super::resp_connection::{RespConnection, RespFailure, RespReply};

/// KEYS: the buckets. ARGV: for each, the interval and the whole burst in microseconds. Returns for each how long to wait and
/// how many may still pass. A time that lies further ahead than a whole burst is from a clock that has been set back, or from a
/// rule that was another.
const SCRIPT: &str = "\
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local result, refused, times = {}, false, {}
local function keep(key, time)
  redis.call('SET', key, string.format('%.0f', time), 'PX', math.ceil((time - now) / 1000))
end
for i, key in ipairs(KEYS) do
  local interval, most = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full = math.max(tonumber(redis.call('GET', key) or 0) or 0, now)
  if full > now + most then
    full = now + most
    keep(key, full)
  end
  local ahead = full + interval - now
  times[i] = full + interval
  if ahead > most then
    refused = true
    result[2 * i - 1], result[2 * i] = ahead - most, 0
  else
    result[2 * i - 1], result[2 * i] = 0, math.floor((most - ahead) / interval)
  end
end
if not refused then
  for i, key in ipairs(KEYS) do
    keep(key, times[i])
  end
end
return result";

/// What Redis says of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteStanding {
    /// Zero if the request passes.
    pub(crate) wait: Duration,
    pub(crate) left: u64,
}

#[derive(Debug)]
pub(crate) struct LimitScript {
    endpoint: Arc<RedisEndpoint>,
    connection: Option<OpenScript>,
}

#[derive(Debug)]
struct OpenScript {
    connection: RespConnection,
    digest: Vec<u8>,
}

impl LimitScript {
    pub(crate) fn new(endpoint: Arc<RedisEndpoint>) -> Self {
        Self {
            endpoint,
            connection: None,
        }
    }

    /// Counts a request in the buckets with these keys, each with its rule. `None` if Redis cannot be asked.
    pub(crate) fn count(
        &mut self,
        buckets: &[(&RateLimitRule, String)],
    ) -> Option<Vec<RemoteStanding>> {
        if !self.endpoint.is_used() {
            // It may have been closed at the other end when it is used again.
            self.connection = None;
            return None;
        }
        match self.try_count(buckets) {
            Ok(standings) => {
                self.endpoint.note_answer();
                Some(standings)
            }
            Err(failure) => {
                self.connection = None;
                self.endpoint.note_failure(&failure);
                None
            }
        }
    }

    /// Whether the script works, which changes nothing that counts.
    pub(super) fn try_out(endpoint: &RedisEndpoint) -> Result<(), RespFailure> {
        let mut open = OpenScript::new(endpoint)?;
        let words = [&b"1"[..], b"oxicorn:limit-test", b"1", b"1000"];
        open.run(&words, 1).map(drop)
    }

    fn try_count(
        &mut self,
        buckets: &[(&RateLimitRule, String)],
    ) -> Result<Vec<RemoteStanding>, RespFailure> {
        let count = buckets.len().to_string();
        let spans = |rule: &RateLimitRule| {
            let interval = rule.interval().as_nanos().div_ceil(1_000).max(1);
            [interval, interval * u128::from(rule.burst)].map(|it| it.to_string())
        };
        let spans: Vec<[String; 2]> = buckets.iter().map(|(rule, _)| spans(rule)).collect();
        let mut words = vec![count.as_bytes()];
        words.extend(buckets.iter().map(|(_, key)| key.as_bytes()));
        words.extend(spans.iter().flatten().map(|it| it.as_bytes()));
        let is_old = self.connection.is_some();
        let outcome = self.open()?.run(&words, buckets.len());
        match outcome {
            // Redis may have closed a connection that was idle. It has then counted nothing.
            Err(RespFailure::Broken(error)) if is_old && is_end(&error) => {
                self.connection = None;
                self.open()?.run(&words, buckets.len())
            }
            outcome => outcome,
        }
    }

    fn open(&mut self) -> Result<&mut OpenScript, RespFailure> {
        let open = match self.connection.take() {
            Some(open) => open,
            None => OpenScript::new(&self.endpoint)?,
        };
        Ok(self.connection.insert(open))
    }
}

impl OpenScript {
    fn new(endpoint: &RedisEndpoint) -> Result<Self, RespFailure> {
        let mut connection = endpoint.connect()?;
        match connection.ask(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()])? {
            RespReply::Text(digest) => Ok(Self { connection, digest }),
            _ => Err(RespFailure::Nonsense),
        }
    }

    fn run(&mut self, words: &[&[u8]], count: usize) -> Result<Vec<RemoteStanding>, RespFailure> {
        let known = [&[&b"EVALSHA"[..], self.digest.as_slice()], words].concat();
        let reply = match self.connection.ask(&known) {
            Err(RespFailure::Refused(said)) if said.starts_with("NOSCRIPT") => {
                let whole = [&[&b"EVAL"[..], SCRIPT.as_bytes()], words].concat();
                self.connection.ask(&whole)
            }
            reply => reply,
        };
        let RespReply::List(items) = reply? else {
            return Err(RespFailure::Nonsense);
        };
        let numbers = items.iter().map(|it| match it {
            RespReply::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        });
        let numbers: Option<Vec<u64>> = numbers.collect();
        let numbers = numbers.filter(|it| it.len() == 2 * count);
        let pairs = numbers.ok_or(RespFailure::Nonsense)?;
        let standing = |pair: &[u64]| RemoteStanding {
            wait: Duration::from_micros(pair[0]),
            left: pair[1],
        };
        Ok(pairs.chunks_exact(2).map(standing).collect())
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
