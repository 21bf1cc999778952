//! The log about a Kafka that accepts no events, and about events that are too many for one message.

use std::collections::HashSet;

use serde_json::json;

use super::publishing::wait_for_events;
use super::*;
use crate::harness::{CacheKind, EventsKind, Generation, Services, StoreKind};

const BOTH: [Generation; 2] = [Generation::Kafka39, Generation::Kafka4];

fn over(services: &Services, generation: Generation) -> Backends {
    let events = EventsKind::Kafka(generation);
    Backends::on(services, StoreKind::Sqlite, CacheKind::Memory, events)
}

/// A private broker with these settings.
fn broker(generation: Generation, settings: &[&str]) -> Services {
    let variables = [("OXICORN_KAFKA_SETTINGS", settings.join("\n"))];
    Services::private_with(&[generation.service()], &variables)
}

/// The line that reports the outage, once there is an event to send.
fn told(builder: Builder) -> String {
    let server = start(builder, 1);
    create(&server, json!({"userId": 1}));
    let line = server.log().wait_for("Kafka at");
    assert!(line.contains("does not answer"), "{line}");
    line
}

#[test]
fn a_scheme_is_refused() {
    for brokers in [
        "kafka://127.0.0.1:9092",
        "127.0.0.1:9092,PLAINTEXT://b:9092",
    ] {
        let ended = service("scheme").env("KAFKA_BROKERS", brokers).run();
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        let words = ["KAFKA_BROKERS", "without a scheme"];
        assert!(
            words.iter().all(|it| ended.log.contains(it)),
            "{}",
            ended.log
        );
    }
}

#[test]
fn a_topic_that_is_missing_is_named() {
    for generation in BOTH {
        let services = broker(generation, &["auto.create.topics.enable=false"]);
        let backends = over(&services, generation);
        let topic = backends.events.as_ref().expect("a topic").name().to_owned();
        let line = told(backends.service("no topic"));
        assert!(
            line.contains(&topic) && line.contains("create it"),
            "{line}"
        );
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_named() {
    for generation in BOTH {
        let there = "advertised.listeners=PLAINTEXT://nowhere.invalid:9092";
        let services = broker(generation, &[there]);
        let line = told(over(&services, generation).service("advertised"));
        assert!(line.contains("nowhere.invalid:9092"), "{line}");
    }
}

#[test]
fn a_broker_that_wants_sasl_is_told_so() {
    for generation in BOTH {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let places = "PLAINTEXT://127.0.0.1:{port}";
        let services = broker(
            generation,
            &[
                &format!(
                    "listeners={places},CONTROLLER://127.0.0.1:{{controller}},SASL://127.0.0.1:{port}"
                ),
                &format!("advertised.listeners={places},SASL://127.0.0.1:{port}"),
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
                "sasl.enabled.mechanisms=PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required user_a=\"b\";",
            ],
        );
        let builder = over(&services, generation).service("sasl");
        let line = told(builder.env("KAFKA_BROKERS", &format!("127.0.0.1:{port}")));
        assert!(line.contains("SASL"), "{line}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_parts() {
    const TASKS: usize = 100;
    for generation in BOTH {
        let backends = over(Services::shared(), generation);
        let topic = backends.events.as_ref().expect("a topic");
        // A few events fit.
        topic.create(&["max.message.bytes=1500"]);
        let listener = topic.listen();
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}/tasks.db", folder.path().display());
        let builder = backends.service("before").env("DATABASE_URL", &url);
        let server = builder.args(&["--runners", "0"]).workers(1).start();
        for user in 0..TASKS {
            create(
                &server,
                json!({"userId": user, "parameters": {"numbers": [1]}}),
            );
        }
        drop(server);
        // Now all of them wait, for one batch.
        let server = start(backends.service("after").env("DATABASE_URL", &url), 1);
        let messages = wait_for_events(&listener, 2 * TASKS);
        let tasks: HashSet<&str> = messages.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(tasks.len(), TASKS);
        assert_eq!(
            server.log().count("does not answer"),
            0,
            "{}",
            server.log().text()
        );
    }
}
