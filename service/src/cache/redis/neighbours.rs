//! Warns if servers of another database use the same Redis. Their keys are separate, but they share its memory, so each
//! may evict what the other has cached. The log names each once.

use std::collections::HashSet;

use log::warn;
use redis::Value;

use super::client::RedisClient;
use super::key_state;

/// A name that is still noted after this many seconds belongs to another store. Before, it may be this store's own name
/// from before a restart of its database.
const GRACE: i64 = 5;

#[derive(Debug)]
pub(super) struct Neighbours {
    /// Another process of this server logs the warning.
    is_quiet: bool,
    space: String,
    /// Since when this store has this name, by the clock of Redis.
    since: i64,
    told: HashSet<String>,
}

impl Neighbours {
    pub(super) fn new(tells: bool) -> Self {
        Self {
            is_quiet: !tells,
            space: String::new(),
            since: 0,
            told: HashSet::new(),
        }
    }

    /// Notes in Redis that the store is in use, and looks for other stores.
    pub(super) fn look(&mut self, client: &RedisClient, store: &str) {
        let space = client.space();
        let Some(answer) = client.ask(&key_state::sign(&space, store)) else {
            return;
        };
        let Some((now, signs)) = read(answer) else {
            return;
        };
        if *self.space != *space {
            (self.space, self.since) = (space.to_string(), now);
        }
        for (sign, at) in signs {
            let Some((other, name)) = sign.split_once(' ') else {
                continue;
            };
            let is_alive = at >= self.since + GRACE;
            if *other != *space && is_alive && self.told.insert(other.to_owned()) && !self.is_quiet
            {
                warn!(
                    "Redis at {} is the cache of another database too, {name}: what is kept of each is apart, but either may \
                     push out what the other has; give each a database of its own (redis_db, or the number in redis_url)",
                    client.address
                );
            }
        }
    }
}

/// The time of Redis, and the noted stores with their times.
fn read(answer: Value) -> Option<(i64, Vec<(String, i64)>)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let Value::Array(parts) = answer else {
        return None;
    };
    let [Value::Int(now), Value::Array(pairs)] = parts.as_slice() else {
        return None;
    };
    let pairs = pairs.chunks_exact(2);
    let signs = pairs.filter_map(|pair| Some((text(&pair[0])?, text(&pair[1])?.parse().ok()?)));
    Some((*now, signs.collect()))
}
