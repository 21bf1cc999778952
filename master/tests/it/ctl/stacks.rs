//! `ctl stacks`: what the threads of all workers run, also when all of them are stuck.

use std::fs;

use crate::harness::{Builder, Client, Server, eventually};

use super::ctl;

/// Clients that hold every thread until the file is there.
fn hold(server: &Server, count: usize) -> Vec<Client> {
    let gate = server.dir().join("gate");
    let mut clients: Vec<_> = (0..count).map(|_| server.client()).collect();
    for client in &mut clients {
        let request = format!(
            "GET /hold?until={} HTTP/1.1\r\nHost: x\r\n\r\n",
            gate.display()
        );
        client.send(request.as_bytes()).expect("sent");
    }
    eventually("all are running", || {
        let status = ctl(server, &["status", "-j"]).expect(0).json();
        (status["requests"]["active"] == count).then_some(())
    });
    clients
}

fn release(server: &Server, clients: Vec<Client>) {
    fs::write(server.dir().join("gate"), "").expect("a file");
    for mut client in clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

fn builder(name: &str) -> Builder {
    Server::new(name).lab().workers(2).threads(2)
}

#[test]
fn each_stuck_thread_shows_where_it_is() {
    let server = builder("stacks").start();
    let clients = hold(&server, 4);
    // A busy machine takes its time to name the functions of a debug build.
    let stacks = eventually("both workers answer", || {
        let stacks = ctl(&server, &["stacks", "-j"]).expect(0).json();
        let workers = stacks["workers"].as_array().expect("a list");
        assert_eq!(workers.len(), 2);
        workers
            .iter()
            .all(|it| it["answered"] == true)
            .then_some(stacks)
    });
    let workers = stacks["workers"].as_array().expect("a list");
    for thread in workers
        .iter()
        .flat_map(|it| it["threads"].as_array().expect("a list"))
    {
        let native = thread["native"].as_str().unwrap_or_default();
        assert!(native.contains("wait_for"), "{stacks:#}");
        assert_eq!(thread["request"]["path"], "/hold");
    }
    let text = ctl(&server, &["stacks"]).expect(0).out;
    assert_eq!(text.matches("running, GET /hold for").count(), 4, "{text}");
    release(&server, clients);
    // Idle threads are left alone.
    eventually("all are idle", || {
        let text = ctl(&server, &["stacks"]).expect(0).out;
        (text.matches("thread").count() == 4 && !text.contains("native")).then_some(())
    });
}

/// Another worker may take its time to answer, and the request of a stack ends meanwhile.
#[test]
fn a_stack_shows_the_request_that_it_is_of() {
    let server = builder("its own request").start();
    // Until the stack was taken before the request ended.
    eventually("a stack that was taken in time", || {
        let mut clients = hold(&server, 1);
        let status = ctl(&server, &["status", "-j"]).expect(0).json();
        let workers = status["workers"].as_array().expect("a list");
        let idle = workers
            .iter()
            .find(|it| it["connections"]["running"] == 0)
            .expect("one");
        let idle = idle["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let idle = crate::harness::Process(idle.expect("a pid"));
        idle.signal(nix::sys::signal::Signal::SIGSTOP);
        let home = server.dir().to_owned();
        let asking = std::thread::spawn(move || super::ctl_in(&home, &["stacks", "-j"]));
        std::thread::sleep(std::time::Duration::from_secs(1));
        fs::write(server.dir().join("gate"), "").expect("a file");
        let answer = clients[0].answer();
        idle.signal(nix::sys::signal::Signal::SIGCONT);
        assert_eq!(answer.expect("an answer").status, 200);
        fs::remove_file(server.dir().join("gate")).expect("removed");
        let stacks = asking.join().expect("no panic").expect(0).json();
        let workers = stacks["workers"].as_array().expect("a list").iter();
        let mut threads = workers.flat_map(|it| it["threads"].as_array().expect("a list"));
        let stacked = threads.find(|it| !it["native"].is_null())?;
        assert_eq!(stacked["request"]["path"], "/hold", "{stacks:#}");
        Some(())
    });
}

#[test]
fn several_may_ask_at_a_time_and_a_worker_may_die_meanwhile() {
    let mut server = builder("asked twice").start();
    server.tolerate("was killed by SIGKILL");
    let clients = hold(&server, 1);
    let home = server.dir().to_owned();
    let asking: Vec<_> = (0..5)
        .map(|_| {
            let home = home.clone();
            std::thread::spawn(move || super::ctl_in(&home, &["stacks"]))
        })
        .collect();
    for one in asking {
        assert!(
            one.join()
                .expect("no panic")
                .expect(0)
                .out
                .contains("wait_for")
        );
    }
    let idle = server.children();
    let before = ctl(&server, &["status", "-j"]).expect(0).json();
    let workers = before["workers"].as_array().expect("a list");
    let is_idle = |pid: i32| {
        let worker = workers.iter().find(|it| it["pid"] == pid);
        worker.is_some_and(|it| it["connections"]["running"] == 0)
    };
    let victim = idle.into_iter().find(|it| is_idle(it.0)).expect("one");
    // It cannot answer, and then it dies.
    victim.signal(nix::sys::signal::Signal::SIGSTOP);
    let asking = std::thread::spawn(move || super::ctl_in(&home, &["stacks"]));
    std::thread::yield_now();
    victim.signal(nix::sys::signal::Signal::SIGKILL);
    asking.join().expect("no panic").expect(0);
    release(&server, clients);
}
