//! What the service has confirmed survives the death of the whole server; `faults` has the deaths of its parts.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;
use crate::harness::{Process, Server, eventually};

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
