//! What several workers over one store have in common: what they see, and what they weigh.

use serde_json::json;

use super::*;
use crate::harness::{Client, Process};

/// What one worker has committed, every other one sees at once.
#[test]
fn no_read_is_stale() {
    let server = start(service("stale"), 4);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut newest = None;
    for round in 0..100 {
        let writer = round % clients.len();
        let body = json!({"userId": round, "parameters": {"numbers": [1]}}).to_string();
        let answer = clients[writer]
            .request("POST", &format!("{BASE}/tasks"), JSON, body.as_bytes())
            .expect("an answer");
        newest = parse(&answer)["task"]["taskId"].as_i64().max(newest);
        for client in &mut clients {
            let list = parse(
                &client
                    .get(&format!("{BASE}/tasks?limit=1"))
                    .expect("an answer"),
            );
            assert_eq!(list["tasks"][0]["taskId"].as_i64(), newest, "{list}");
        }
    }
}

/// Master, four workers with two threads each and a runner, after some work.
#[test]
fn the_whole_tree_is_small() {
    let server = start(service("memory").threads(2), 4);
    let parameters = json!({"numbers": (0..1000).collect::<Vec<_>>()});
    let body = json!({"userId": 7, "taskType": "data_processing", "parameters": parameters});
    let ids: Vec<i64> = (0..100).map(|_| create(&server, body.clone())).collect();
    wait_for_status(&server, ids[99], "completed");
    for id in ids {
        task(&server, id);
        call(&server, "GET", "/tasks", None);
    }
    let children = server.children();
    assert_eq!(children.len(), 5);
    let all = children.into_iter().chain([server.master()]);
    let kib: u64 = all.map(Process::pss_kib).sum();
    assert!(kib < 60 * 1024, "{kib} KiB");
}
