//! What an application counts itself: the sum over all of its processes, through their deaths, reloads and upgrades.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Builder, Client, Process, Server, eventually};
use crate::upgrade::NewMaster;

fn lab(name: &str) -> Builder {
    Server::new(name).lab().workers(2)
}

/// The lab's lines for the figures of all processes.
fn figures(server: &Server) -> Vec<String> {
    let text = server.get("/figures").text();
    text.lines().map(str::to_owned).collect()
}

fn expect<T>(server: &Server, expected: &[T])
where
    T: std::fmt::Debug,
    String: PartialEq<T>,
{
    // Not step by step: two masters that disagree would take turns for ever.
    let mut last: Vec<String> = Vec::new();
    eventually(&format!("{expected:?}"), || {
        let found = figures(server);
        if found != last {
            println!("{found:?}");
        }
        last = found;
        (*last == *expected).then_some(())
    });
}

/// A connection to each of so many workers.
fn clients(server: &Server, count: usize) -> Vec<(Client, Process)> {
    let mut found: Vec<(Client, Process)> = Vec::new();
    eventually(&format!("connections to {count} workers"), || {
        let mut client = server.client();
        let pid = client.get("/pid").ok()?.number();
        let worker = Process(i32::try_from(pid).expect("a pid"));
        if found.iter().all(|(_, it)| *it != worker) {
            found.push((client, worker));
        }
        (found.len() == count).then_some(())
    });
    found
}

/// Each worker counts: 3 red balls, a level of 2.5, a size within the first bound and one above the last.
fn write(clients: &mut [(Client, Process)]) {
    for (client, _) in clients {
        for query in ["colour=red&balls=3", "level=2.5", "size=0.5", "size=100"] {
            let answer = client.get(&format!("/count?{query}")).expect("an answer");
            assert_eq!(answer.text(), "written");
        }
    }
}

/// The figures when so many workers have written, of which so many live.
fn written(by: u64, living: u64) -> Vec<String> {
    vec![
        format!("lab_balls_total red {}", 3 * by),
        "lab_balls_total blue 0".to_owned(),
        format!("lab_throws_total {by}"),
        format!("lab_level {}", 2.5 * living as f64),
        format!("lab_size_bytes {} [{by}, 0] {}", 2 * by, 100.5 * by as f64),
    ]
}

#[test]
fn the_figures_of_all_workers_are_one_and_outlive_a_kill() {
    for preload in [&[][..], &["--preload"]] {
        let mut server = lab("metrics").args(preload).start_with_unknown_workers();
        server.tolerate("");
        let mut both = clients(&server, 2);
        assert_eq!(
            figures(&server),
            written(0, 0),
            "all are there at the start"
        );
        write(&mut both);
        assert_eq!(figures(&server), written(2, 2));
        both[0].1.signal(Signal::SIGKILL);
        expect(&server, &written(2, 1));
        both[1].1.signal(Signal::SIGKILL);
        expect(&server, &written(2, 0));
        write(&mut clients(&server, 2));
        assert_eq!(figures(&server), written(4, 2));
    }
}

/// The lab's other set has `green` in place of `blue`, no throws, and a counter that is new.
#[test]
fn a_reload_that_changes_the_metrics_keeps_the_counts_of_those_that_stay() {
    let builder = lab("metrics of generations");
    let file = builder.dir().join("metrics");
    let builder = builder.env("LAB_METRICS", "metrics");
    let mut server = builder.start();
    write(&mut clients(&server, 2));
    let reload = |metrics: &str| {
        let old = server.children();
        fs::write(&file, metrics).expect("written");
        server.signal(Signal::SIGHUP);
        server.wait_for_others(&old, 2);
    };
    reload("others");
    let mut both = clients(&server, 2);
    let mut expected = [
        "lab_balls_total green 0",
        "lab_balls_total red 6",
        "lab_throws_total 2",
        "lab_level 0",
        "lab_size_bytes 4 [2, 0] 201",
        "lab_others_total 0",
    ];
    expect(&server, &expected);
    write(&mut both);
    let green = both[0].0.get("/count?colour=green").expect("an answer");
    assert_eq!(green.text(), "written");
    let blue = both[0]
        .0
        .get("/count?colour=blue")
        .expect("an answer")
        .text();
    assert!(
        blue.contains("no counter \"lab_balls_total\" with the label value \"blue\""),
        "{blue}"
    );
    expected = [
        "lab_balls_total green 1",
        "lab_balls_total red 12",
        "lab_throws_total 2",
        "lab_level 5",
        "lab_size_bytes 8 [4, 0] 402",
        "lab_others_total 3",
    ];
    assert_eq!(figures(&server), expected);
    reload("");
    expected[0] = "lab_balls_total red 12";
    expected[1] = "lab_balls_total blue 0";
    expected[3] = "lab_level 0";
    expect(&server, &expected);
    server.tolerate("oxicorn_generation");
    fs::write(&file, "refused").expect("written");
    server.signal(Signal::SIGHUP);
    let line = server.log().wait_for("metric \"oxicorn_generation\"");
    assert!(line.contains("the server's own"), "{line}");
    assert_eq!(figures(&server), expected, "the old generation serves on");
}

#[test]
fn names_that_nobody_may_use_end_the_start() {
    for check in [&[][..], &["--check-config"]] {
        let builder = lab("metrics with bad names").env("LAB_METRICS", "metrics");
        fs::write(builder.dir().join("metrics"), "refused").expect("written");
        let ended = builder.args(check).run();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let expected =
            "metric \"oxicorn_generation\": names that begin with oxicorn_ are the server's own";
        assert!(ended.log.contains(expected), "{ended:?}");
    }
}

/// While two masters run, each shows the figures of both; the one that is left keeps them, whichever that is.
#[test]
fn an_upgrade_keeps_the_figures_of_both_masters() {
    let mut server = lab("metrics of masters").start();
    write(&mut clients(&server, 2));
    // Undone, by a new master that is killed.
    let new_master = NewMaster::start(&server, 2);
    write(&mut clients(&server, 4));
    expect(&server, &written(6, 4));
    server.tolerate("");
    new_master.0.signal(Signal::SIGKILL);
    server.log().wait_for("this one serves on");
    expect(&server, &written(6, 2));
    // Carried out.
    let new_master = NewMaster::start(&server, 2);
    expect(&server, &written(6, 2));
    write(&mut clients(&server, 4));
    server.signal(Signal::SIGTERM);
    server.wait_for_exit();
    server.log().wait_for("Master has been promoted.");
    expect(&server, &written(10, 2));
    // And once more, with an old master that is killed.
    let newest = {
        let before = server.log().count("The new master (pid: ");
        new_master.0.signal(Signal::SIGUSR2);
        server
            .log()
            .wait_for_nth("The new master (pid: ", before + 1);
        let children = || new_master.0.children().into_iter();
        let is_master = |it: &Process| !it.children().is_empty();
        NewMaster(eventually("the newest master", || {
            children().find(is_master)
        }))
    };
    write(&mut clients(&server, 4));
    expect(&server, &written(14, 4));
    new_master.0.signal(Signal::SIGKILL);
    server.log().wait_for_nth("Master has been promoted.", 2);
    expect(&server, &written(14, 2));
    drop(newest);
}
