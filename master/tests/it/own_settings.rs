//! The setting of `examples/own_settings.rs` is read, shown, refused and reloaded like those of the server; and its
//! word of shared memory works.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Builder, Server, eventually};

fn greeter(name: &str) -> Builder {
    Server::new(name).example("own_settings")
}

#[test]
fn a_reload_reads_an_applications_own_setting_again_and_keeps_its_shared_words() {
    let builder = greeter("own").args(&["--env-file", "own.env"]);
    let file = builder.dir().join("own.env");
    fs::write(&file, "GREETING=Ahoy\n").expect("written");
    let mut server = builder.workers(2).start();
    let first = server.get("/").text();
    let (greeting, visits) = first.rsplit_once(' ').expect("a number");
    assert_eq!(greeting, "Ahoy, visitor");
    let mut visits: u64 = visits.parse().expect("a number");
    fs::write(&file, "OXICORN_GREETING=Moin\n").expect("written");
    server.signal(Signal::SIGHUP);
    eventually("the new greeting", || {
        visits += 1;
        let text = server.get("/").text();
        assert!(text.ends_with(&format!(", visitor {visits}")), "{text}");
        text.starts_with("Moin").then_some(())
    });
    // Until then a worker of before may answer.
    server.log().wait_for("Generation 2 serves");
    server.tolerate("GREETING");
    fs::write(&file, format!("GREETING={}\n", "x".repeat(101))).expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("own.env:1: variable GREETING");
    assert!(server.get("/").text().starts_with("Moin"));
}

#[test]
fn its_setting_is_shown_beside_the_servers() {
    let help = greeter("help").arg("--help").run();
    assert!(help.out.contains("--greeting <TEXT>"), "{}", help.out);
    let printed = greeter("print").arg("--print-config");
    let printed = printed.env("GREETING", "Ahoy").run();
    let mut lines = printed.out.lines();
    let line = lines.find(|line| line.starts_with("greeting "));
    assert!(line.is_some_and(|line| line.contains("Ahoy") && line.ends_with("variable GREETING")));
    let refused = greeter("refused").args(&["--greeting", ""]).run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains("expected 1 to 100 characters"));
    let hello = Server::new("foreign").args(&["--greeting", "x"]).run();
    assert!(
        hello.log.contains("unknown flag --greeting"),
        "{}",
        hello.log
    );
}
