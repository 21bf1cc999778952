//! Real brokers for tests: those named by the environment, or those of `scripts/services`.

use std::process::Command;

use super::Topic;
use crate::model::Timestamp;

pub(crate) fn brokers_39() -> Vec<String> {
    brokers("KAFKA_39_BROKERS")
}

pub(crate) fn brokers_4() -> Vec<String> {
    brokers("KAFKA_4_BROKERS")
}

/// A topic that no other test knows.
pub(crate) fn topic(name: &str, brokers: Vec<String>) -> Topic {
    let now = Timestamp::now().0;
    let name = format!("test.{name}.{}.{now}", std::process::id());
    Topic { brokers, name }
}

fn brokers(variable: &str) -> Vec<String> {
    let value = std::env::var(variable).ok().or_else(|| exported(variable));
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        panic!("Kafka is not up: scripts/services up (make test does)");
    };
    value.split(',').map(str::to_owned).collect()
}

fn exported(variable: &str) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
    let output = Command::new(script).arg("env").output().ok()?;
    let output = String::from_utf8(output.stdout).ok()?;
    let prefix = format!("export {variable}=");
    let line = output.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.trim_matches('\'').to_owned())
}

/// A broker for one test, which may break it.
pub(crate) struct Broker {
    service: String,
    folder: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start(service: &str) -> Self {
        let broker = Self {
            service: service.to_owned(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        broker.fault("up");
        broker
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        let output = self.services("env");
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix("export KAFKA_BROKERS="));
        vec![line.expect("it is up").to_owned()]
    }

    /// Runs a command of `scripts/services` on it.
    pub(crate) fn fault(&self, verb: &str) {
        self.services(verb);
    }

    fn services(&self, verb: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
        let mut command = Command::new(script);
        command.env("OXICORN_SERVICES_DIR", self.folder.path().join("services"));
        command.arg(verb);
        if verb != "env" {
            command.arg(&self.service);
        }
        let output = command.output().expect("Python 3");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.services("down");
    }
}
