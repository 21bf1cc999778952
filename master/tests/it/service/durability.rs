//! What the task service has promised outlives the death of any of its processes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::{Process, Server, eventually, eventually_within};

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

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_committed_task_is_lost_whoever_is_killed() {
    let mut server = start(service("kill children").args(&["--threads", "2"]), 2);
    server.tolerate("");
    let stop = AtomicBool::new(false);
    let ids: Vec<i64> = thread::scope(|scope| {
        // A failure must end the writers too.
        let end = SetOnDrop(&stop);
        let writers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| post_until(&server, &stop)))
            .collect();
        // Web workers and runner alike.
        for round in 0..18 {
            let victim = server.wait_for_children(3)[round % 3];
            thread::sleep(Duration::from_millis(50));
            victim.signal(Signal::SIGKILL);
            eventually("the child is back", || {
                let now = server.children();
                (now.len() == 3 && !now.contains(&victim)).then_some(())
            });
        }
        drop(end);
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
