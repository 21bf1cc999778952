//! What must be true after any fault.

use serde_json::Value;
use std::collections::{HashMap, HashSet};

use super::traffic::Report;
use crate::harness::{Backends, Client, Listener, Server, eventually, eventually_step_by_step};
use crate::service::publishing::{assert_in_order, events_by_task, wait_for_events};
use crate::service::{BASE, caching, call, parse};

/// Every task that was answered 201 exists once and has ended; its events have arrived in order; no cache contradicts
/// the store; no request took too long.
pub(super) fn judge(
    server: &Server,
    backends: &Backends,
    listener: Option<&Listener>,
    report: &Report,
) {
    assert!(report.broken.is_empty(), "{:#?}", report.broken);
    assert!(report.created.len() > 20, "too little happened: {report:?}");
    println!(
        "{} tasks created, {} cancelled, {} refusals, {} without an answer",
        report.created.len(),
        report.cancelled.len(),
        report.refused,
        report.unanswered
    );
    let answered: HashSet<i64> = report.created.iter().copied().collect();
    assert_eq!(
        answered.len(),
        report.created.len(),
        "an id was given twice"
    );
    every_task_ends(server);
    let truth = truth(server, backends);
    for id in &report.created {
        assert!(
            truth.contains_key(id),
            "task {id} was answered 201 and is gone"
        );
    }
    for id in &report.cancelled {
        assert_eq!(status(&truth[id]), "cancelled", "task {id} was cancelled");
    }
    caches_agree(server, backends, &truth);
    if let Some(listener) = listener {
        events_are_heard(listener, &truth);
    }
    outbox_is_empty(backends);
}

fn every_task_ends(server: &Server) {
    // Any number of tasks on any machine: only progress counts. The expiry of a lease and the pause before a retry take
    // less than the timeout of one step.
    eventually_step_by_step("every task ends", || {
        let waiting = ["pending", "processing"].map(|status| {
            let path = format!("/tasks?status={status}&limit=1");
            match call(server, "GET", &path, None) {
                (200, list) => list["pagination"]["total"].as_u64(),
                _ => None,
            }
        });
        if waiting == [Some(0); 2] {
            Ok(())
        } else {
            Err(waiting)
        }
    });
}

/// All tasks as a second server shows them, which has the same store and no cache.
fn truth(server: &Server, backends: &Backends) -> HashMap<i64, Value> {
    let judge = backends.uncached("judge", server).workers(1).start();
    let mut client = judge.client();
    let mut truth = HashMap::new();
    loop {
        let page = show(
            &mut client,
            &format!("/tasks?limit=1000&offset={}", truth.len()),
        );
        let tasks = page["tasks"].as_array().expect("tasks");
        for summary in tasks {
            let id = summary["taskId"].as_i64().expect("an id");
            let task = show(&mut client, &format!("/tasks/{id}"));
            assert_eq!(truth.insert(id, task), None, "task {id} is there twice");
        }
        if page["pagination"]["hasMore"] == false {
            return truth;
        }
    }
}

/// The responses of the server and the bodies in Redis are the same as in the store.
fn caches_agree(server: &Server, backends: &Backends, truth: &HashMap<i64, Value>) {
    let mut client = server.client();
    for (id, task) in truth {
        assert_eq!(&show(&mut client, &format!("/tasks/{id}")), task);
    }
    let Some(keyspace) = &backends.cache else {
        return;
    };
    let keys = keyspace.keys("task:*");
    assert!(!keys.is_empty(), "nothing is in Redis");
    for (key, held) in caching::held(keyspace, &keys) {
        let id = key.split(':').nth(1).expect("an id");
        let id = id.parse().expect("a number");
        assert_eq!(held, truth[&id], "{key}");
    }
}

fn events_are_heard(listener: &Listener, truth: &HashMap<i64, Value>) {
    let messages = wait_for_events(listener, truth.len() * 2);
    assert_in_order(&messages);
    let events = events_by_task(&messages);
    for (id, task) in truth {
        let end = format!("task_{}", status(task));
        assert_eq!(events[id], ["task_created", &end], "of task {id}");
    }
}

/// If there is a relay, it has emptied the outbox.
fn outbox_is_empty(backends: &Backends) {
    if let (Some(database), Some(_)) = (&backends.store, &backends.events) {
        eventually("the outbox is empty", || {
            (database.sql("SELECT count(*) FROM events") == "0").then_some(())
        });
    }
}

fn status(task: &Value) -> &str {
    task["task"]["status"].as_str().expect("a status")
}

fn show(client: &mut Client, path: &str) -> Value {
    let answer = client.get(&format!("{BASE}{path}"));
    let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    parse(&answer)
}
