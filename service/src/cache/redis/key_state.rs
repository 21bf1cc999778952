//! The states of a key in Redis, and the commands that lead from one to the next. Each step is one command: Redis
//! executes it whole or not at all, and one that arrives late from a dropped connection does no harm.
//!
//! ```text
//!                  reserve                 fill, by who reserved
//!     nothing -----------------> ?TOKEN ---------------------------> {BODY}
//!        ^  ^                      |                                   |
//!        |  +---- release ---------+                                   |
//!        |                         |  announce, by a change            |
//!        |                         v                                   v
//!        +--------------------- !MARK [!MARK ..] <---------------------+
//!            forget, by the last
//!            who announced
//! ```
//!
//! A change overwrites a reservation, which can then no longer be filled: nothing that was read before the change
//! stays in Redis. Reservations and marks expire, in case their owner dies.

use std::time::Duration;

use redis::{Cmd, Value};

/// How long a reader may take to fill what it has reserved.
const RESERVED: Duration = Duration::from_secs(10);
/// How long a change may take to commit. Beyond the deadline of any request.
const MARKED: Duration = Duration::from_secs(60);

/// The state of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    Nothing,
    Body(Vec<u8>),
    /// A reader has reserved it, and reads from the store.
    Reserved,
    /// A change has announced it, or the value is not ours.
    Shut,
}

impl KeyState {
    pub(super) fn of(value: Value) -> Self {
        match value {
            Value::Nil => Self::Nothing,
            Value::BulkString(bytes) => match bytes.first() {
                Some(b'{') => Self::Body(bytes),
                Some(b'?') => Self::Reserved,
                _ => Self::Shut,
            },
            _ => Self::Shut,
        }
    }
}

pub(super) fn read(key: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

/// Replies with what the key holds; with nothing if it holds the token from now on.
pub(super) fn reserve(key: &str, token: &str) -> Cmd {
    script(RESERVE, &[key], &[token, &millis(RESERVED)])
}

pub(super) fn fill(key: &str, token: &str, body: &[u8], ttl: Duration) -> Cmd {
    let mut command = script(FILL, &[key], &[token]);
    command.arg(body).arg(millis(ttl));
    command
}

pub(super) fn release(key: &str, token: &str) -> Cmd {
    script(RELEASE, &[key], &[token])
}

pub(super) fn announce(keys: &[String], mark: &str) -> Cmd {
    script(ANNOUNCE, keys, &[mark, &millis(MARKED)])
}

/// Removes from each key its mark, and the whole value unless other marks remain.
pub(super) fn forget<K: AsRef<str>>(keys: &[K], marks: &[&str]) -> Cmd {
    script(FORGET, keys, marks)
}

/// Notes that the store of this `space` is in use. Replies with the time, and all stores noted lately.
pub(super) fn sign(space: &str, store: &str) -> Cmd {
    script(SIGN, &["oxicorn:stores"], &[&format!("{space} {store}")])
}

const SIGN: &str = "\
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], 60)
return {now, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}";

const RESERVE: &str = "\
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";

const FILL: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return true";

const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return true";

const ANNOUNCE: &str = "\
for _, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  if type(held) ~= 'string' or held:sub(1, 1) ~= '!' then
    held = ARGV[1]
  elseif not held:find(ARGV[1], 1, true) then
    held = held .. ARGV[1]
  end
  redis.call('SET', key, held, 'PX', ARGV[2])
end
return true";

const FORGET: &str = "\
for number, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  local others = ''
  if type(held) == 'string' and held:sub(1, 1) == '!' then
    local from, to = held:find(ARGV[number], 1, true)
    others = from and held:sub(1, from - 1) .. held:sub(to + 1) or held
  end
  if others == '' then
    redis.call('UNLINK', key)
  elseif others ~= held then
    redis.call('SET', key, others, 'KEEPTTL')
  end
end
return true";

fn script<K: AsRef<str>>(text: &str, keys: &[K], arguments: &[&str]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(key.as_ref());
    }
    for argument in arguments {
        command.arg(*argument);
    }
    command
}

/// At least one: Redis refuses zero.
fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}
