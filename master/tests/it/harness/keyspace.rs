//! A Redis database for one test, read with redis-cli.

use std::process::Command;

use serde_json::Value;

use super::Services;

/// How many databases there are. Number 0 counts those in use.
const DATABASES: i64 = 4096;

#[derive(Debug)]
pub(crate) struct Keyspace {
    /// The URL without the number.
    server: String,
    number: i64,
}

impl Keyspace {
    pub(crate) fn new(services: &Services) -> Self {
        let url = services.variable("REDIS_URL");
        let (server, _) = url.rsplit_once('/').expect("a number in the URL");
        let count = Self {
            server: server.to_owned(),
            number: 0,
        };
        let taken = count.ask(&["INCR", "oxicorn:test-databases"]);
        let taken = taken.as_i64().expect("a number");
        let own = Self {
            number: 1 + taken % (DATABASES - 1),
            ..count
        };
        own.ask(&["FLUSHDB"]);
        own
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.number)
    }

    /// The reply to one command.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let mut command = Command::new("redis-cli");
        command
            .args(["-u", &self.url(), "--json", "-e"])
            .args(words);
        let outcome = command.output().expect("redis-cli can be run");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{words:?}: {said}");
        serde_json::from_slice(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {outcome:?}"))
    }

    /// The keys that match, in order.
    pub(crate) fn keys(&self, pattern: &str) -> Vec<String> {
        let keys = self.ask(&["KEYS", pattern]);
        let keys = keys.as_array().into_iter().flatten();
        let mut keys: Vec<_> = keys
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect();
        keys.sort();
        keys
    }

    /// The name of a key, which ends with the identity of its store.
    pub(crate) fn find(&self, key: &str) -> Option<String> {
        self.keys(&format!("{key}:*")).into_iter().next()
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.ask(&["GET", key]).as_str().map(str::to_owned)
    }

    /// The remaining lifetime of the key, in milliseconds; negative as of PTTL.
    pub(crate) fn time_left_ms(&self, key: &str) -> i64 {
        self.ask(&["PTTL", key]).as_i64().expect("a number")
    }
}
