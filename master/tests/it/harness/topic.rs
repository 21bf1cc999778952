//! A Kafka topic and consumer group for one test, and a listener to the topic: the console consumer of Kafka's own
//! distribution, another client than those of the service.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::services::unique;
use super::{Log, Services};

/// The generation of the broker: 4.0 dropped the oldest versions of the protocol (KIP-896).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    Kafka39,
    Kafka4,
}

#[derive(Debug)]
pub(crate) struct Topic {
    brokers: String,
    jars: String,
    /// The name of the topic and of the runners' group.
    name: String,
}

/// A message of the topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// Reads the topic from its beginning until dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    child: Child,
    out: Log,
    log: Log,
}

impl Generation {
    /// Its name in `scripts/services`.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Kafka39 => "kafka39",
            Self::Kafka4 => "kafka4",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Kafka39 => "KAFKA_39",
            Self::Kafka4 => "KAFKA_4",
        }
    }
}

impl Topic {
    pub(crate) fn new(services: &Services, generation: Generation) -> Self {
        let prefix = generation.prefix();
        let variable = |name| services.variable(&format!("{prefix}_{name}")).to_owned();
        Self {
            brokers: variable("BROKERS"),
            jars: variable("JARS"),
            name: unique(),
        }
    }

    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Creates it with these settings. Without this call the broker creates it, with its defaults.
    pub(crate) fn create(&self, settings: &[&str]) {
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"])
            .args(["-cp", &self.jars, "org.apache.kafka.tools.TopicCommand"])
            .args(["--bootstrap-server", &self.brokers, "--create"])
            .args(["--topic", &self.name, "--partitions", "1"]);
        for setting in settings {
            command.args(["--config", setting]);
        }
        let outcome = command.output().expect("java can be run");
        assert!(outcome.status.success(), "{outcome:?}");
    }

    pub(crate) fn listen(&self) -> Listener {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "java"])
            // Makes the JVM start faster.
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .args(["-cp", &self.jars])
            .arg("org.apache.kafka.tools.consumer.ConsoleConsumer")
            .args(["--bootstrap-server", &self.brokers])
            .args(["--topic", &self.name, "--from-beginning"])
            .args(["--property", "print.partition=true"])
            .args(["--property", "print.offset=true"])
            .args(["--property", "print.key=true"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("java can be run");
        Listener {
            out: Log::of(child.stdout.take().expect("a pipe")),
            log: Log::of(child.stderr.take().expect("a pipe")),
            child,
        }
    }
}

impl Listener {
    /// The messages that have arrived so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let lines = self.out.lines();
        // The tool itself may print other lines.
        let messages = lines.iter().filter(|it| it.starts_with("Partition:"));
        messages
            .map(|line| Message::read(line).unwrap_or_else(|| panic!("no message: {line}")))
            .collect()
    }

    /// The errors of the tool, for failure messages.
    pub(crate) fn complaints(&self) -> String {
        self.log.text()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Message {
    fn read(line: &str) -> Option<Self> {
        let mut columns = line.splitn(4, '\t');
        let partition = columns.next()?.strip_prefix("Partition:")?;
        let offset = columns.next()?.strip_prefix("Offset:")?;
        Some(Self {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
            key: columns.next()?.to_owned(),
            value: serde_json::from_str(columns.next()?).ok()?,
        })
    }
}
