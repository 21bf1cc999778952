//! What was answered stays so: other workers, deaths, the next start, a busy store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::{Client, Process, eventually_within};

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

/// Posts tasks until `stop`; returns the ids that were answered 201.
fn post_until(server: &Server, stop: &AtomicBool) -> Vec<i64> {
    let body = json!({"userId": 1, "parameters": {"numbers": [1, 2]}}).to_string();
    let mut ids = Vec::new();
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = match client.take() {
            Some(connection) => connection,
            None => server.client(),
        };
        // A request whose worker was killed has no answer: it may or may not have happened.
        if let Ok(answer) =
            connection.request("POST", &format!("{BASE}/tasks"), JSON, body.as_bytes())
            && answer.status == 201
        {
            ids.extend(parse(&answer)["task"]["taskId"].as_i64());
            client = Some(connection);
        }
    }
    ids
}

#[test]
fn no_committed_task_is_lost_whoever_is_killed() {
    let mut server = start(service("kill children").args(&["--threads", "2"]), 2);
    server.tolerate("");
    let stop = AtomicBool::new(false);
    let ids: Vec<i64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| post_until(&server, &stop)))
            .collect();
        // Web workers and runner alike.
        for round in 0..9 {
            let victim = server.wait_for_children(3)[round % 3];
            thread::sleep(Duration::from_millis(50));
            victim.signal(Signal::SIGKILL);
            eventually("the child is back", || {
                let now = server.children();
                (now.len() == 3 && !now.contains(&victim)).then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
        let lists = writers.into_iter().map(|it| it.join().expect("no panic"));
        lists.flatten().collect()
    });
    assert!(ids.len() > 20, "{}", ids.len());
    assert_eq!(
        ids.iter().collect::<HashSet<_>>().len(),
        ids.len(),
        "an id twice"
    );
    for &id in &ids {
        task(&server, id);
    }
    // What the killed runner had in hand is done as well.
    eventually_within(Duration::from_secs(90), "every task is done", || {
        let (_, list) = call(&server, "GET", "/tasks?status=completed&limit=1", None);
        let (_, all) = call(&server, "GET", "/tasks?limit=1", None);
        (list["pagination"]["total"] == all["pagination"]["total"]).then_some(())
    });
}

#[test]
fn tasks_outlive_the_server() {
    let builder = service("restart");
    let database = builder.dir().join("tasks.db");
    let mut server = start(builder, 1);
    let id = create(
        &server,
        json!({"userId": 1, "parameters": {"numbers": [1]}}),
    );
    server.signal(Signal::SIGKILL);
    server.wait_for_exit();
    server.expect_kill();
    let group: Vec<Process> = server.master().group();
    eventually("all are gone", || {
        group.iter().all(|it| !it.is_alive()).then_some(())
    });
    let url = format!("sqlite:{}", database.display());
    let second = start(
        Server::new("again")
            .app("native:eventstreammonitor")
            .env("DATABASE_URL", &url),
        1,
    );
    wait_for_status(&second, id, "completed");
}

#[test]
fn the_pool_gives_up_after_its_timeout() {
    let server = start(
        service("pool")
            .env("POOL_SIZE", "1")
            .env("MAX_OVERFLOW", "0")
            .args(&["--threads", "4"]),
        1,
    );
    // Not a failure under load: they wait for their turn.
    let load = crate::harness::Load::start(
        server.address(),
        8,
        crate::harness::Mode::KeepAlive,
        &format!("{BASE}/tasks"),
    );
    load.wait_for_more(500);
    load.stop().assert_perfect();
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
