//! The memory of several workers over one store.

use serde_json::json;

use super::*;
use crate::harness::Process;

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
