//! The events of the topic, as another client of Kafka reads them.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::*;
use crate::harness::{Listener, Message, eventually_step_by_step};

/// Each event is a message keyed by its task, with all its fields; those of a task are in order.
pub(super) fn every_event_is_heard(backends: &Backends) {
    let topic = backends.events.as_ref().expect("a topic");
    let listener = topic.listen();
    let server = start(backends.service("events"), 2);
    let mut expected: HashMap<i64, &[&str]> = HashMap::new();
    for (parameters, ends) in [
        (
            json!({"numbers": [1, 2]}),
            ["task_created", "task_completed"],
        ),
        (json!({"numbers": "none"}), ["task_created", "task_failed"]),
    ] {
        let body = json!({"userId": "eve", "priority": "high", "parameters": parameters});
        let id = create(&server, body);
        expected.insert(
            id,
            if ends[1] == "task_failed" {
                FAILED
            } else {
                COMPLETED
            },
        );
        let status = ends[1].trim_start_matches("task_");
        wait_for_status(&server, id, status);
    }
    let mut cancelled = 0;
    // The runner may be faster than a cancel, but not every time.
    for _ in 0..200 {
        let id = create(
            &server,
            json!({"userId": 1, "parameters": {"numbers": [1]}}),
        );
        let is_cancelled = call(&server, "PUT", &format!("/tasks/{id}/cancel"), None).0 == 200;
        expected.insert(id, if is_cancelled { CANCELLED } else { COMPLETED });
        cancelled += u32::from(is_cancelled);
        if cancelled == 3 {
            break;
        }
    }
    assert!(cancelled > 0, "no task could be cancelled");
    let messages = wait_for_events(&listener, expected.len() * 2);
    assert_in_order(&messages);
    let heard = events_by_task(&messages);
    for (id, events) in expected {
        assert_eq!(heard[&id], events, "of task {id}");
    }
    for message in &messages {
        let value = &message.value;
        let task = task(&server, value["taskId"].as_i64().expect("an id"));
        for field in ["taskId", "taskReference", "taskType", "userId", "priority"] {
            assert_eq!(value[field], task[field], "{field} of {value}");
        }
        let moment = value["timestamp"].as_str().expect("a text");
        assert!(moment.starts_with("20") && moment.ends_with('Z'), "{value}");
        assert_eq!(value.as_object().map(|it| it.len()), Some(7), "{value}");
    }
}

const COMPLETED: &[&str] = &["task_created", "task_completed"];
const FAILED: &[&str] = &["task_created", "task_failed"];
const CANCELLED: &[&str] = &["task_created", "task_cancelled"];

/// Waits for `count` different events.
pub(super) fn wait_for_events(listener: &Listener, count: usize) -> Vec<Message> {
    let mut heard = 0;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually_step_by_step(&format!("{count} events"), || {
            let messages = listener.messages();
            heard = events_by_task(&messages).values().map(Vec::len).sum();
            if heard >= count {
                Ok(messages)
            } else {
                Err(heard)
            }
        })
    }));
    found.unwrap_or_else(|_| panic!("{heard} events of {count}: {}", listener.complaints()))
}

/// The events of each task in the order of their first arrival.
pub(super) fn events_by_task(messages: &[Message]) -> HashMap<i64, Vec<&str>> {
    let mut tasks: HashMap<i64, Vec<&str>> = HashMap::new();
    for message in messages {
        let id = message.value["taskId"].as_i64().expect("an id");
        let event = message.value["eventType"].as_str().expect("a text");
        let events = tasks.entry(id).or_default();
        if !events.contains(&event) {
            events.push(event);
        }
    }
    tasks
}

/// All messages of a task have its key, are in one partition and in order; only repeated ones may be out of order.
pub(super) fn assert_in_order(messages: &[Message]) {
    let mut of_tasks: HashMap<&str, Vec<&Message>> = HashMap::new();
    for message in messages {
        assert_eq!(message.key, message.value["taskId"].to_string());
        of_tasks.entry(&message.key).or_default().push(message);
    }
    for (key, mut messages) in of_tasks {
        let partitions: HashSet<u32> = messages.iter().map(|it| it.partition).collect();
        assert_eq!(partitions.len(), 1, "of task {key}: {messages:?}");
        messages.sort_by_key(|it| it.offset);
        let mut seen: Vec<&str> = Vec::new();
        for message in &messages {
            let event = message.value["eventType"].as_str().expect("a text");
            let is_first = event == "task_created";
            assert_eq!(
                is_first && !seen.contains(&event),
                seen.is_empty(),
                "{messages:?}"
            );
            seen.push(event);
        }
    }
}
