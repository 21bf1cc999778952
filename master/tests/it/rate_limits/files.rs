//! The file of rules: at the start, at a reload and for `--check-config`.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{limited, passed, status, use_up};
use crate::harness::{Server, eventually};

#[test]
fn wrong_rules_stop_the_start_with_their_lines() {
    let rules = "# mine\napi 10/s burst=0\n\nlogin ten/s\n";
    for flags in [&[][..], &["--check-config"]] {
        let ended = limited("wrong", rules).args(flags).run();
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        for line in [
            "limits.conf:2: burst: expected a whole number from 1 to",
            "limits.conf:4: \"ten/s\" is no rate: write REQUESTS/PERIOD",
        ] {
            assert!(ended.log.contains(line), "{}", ended.log);
        }
    }
    let ended = Server::new("no file")
        .args(&["--rate-limits", "nowhere.conf"])
        .run();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .log
            .contains("rate_limits: cannot read nowhere.conf: No such file"),
        "{}",
        ended.log
    );
    let ended = Server::new("redis alone")
        .args(&["--rate-limit-redis", "redis://127.0.0.1"])
        .run();
    assert!(
        ended.code == Some(1) && ended.log.contains("no effect without rate_limits"),
        "{}",
        ended.log
    );
    let ended = limited("right", "api 10/s\n").arg("--check-config").run();
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "oxicorn: ok"));
}

/// The master must not wait for a pipe, nor read without end.
#[test]
fn a_file_without_an_end_is_refused_and_the_server_goes_on() {
    let mut server = limited("endless", "api 1/h burst=3 path=/api\n")
        .workers(2)
        .start();
    server.tolerate("limits.conf");
    let file = server.dir().join("limits.conf");
    for (kind, reason) in [
        ("fifo", "it is a pipe"),
        ("zero", "longer than 4 MiB"),
        ("octets", "no text in UTF-8"),
    ] {
        fs::remove_file(&file).expect("there");
        match kind {
            "fifo" => mkfifo(&file, Mode::S_IRWXU).expect("a FIFO"),
            "zero" => symlink("/dev/zero", &file).expect("a link"),
            _ => fs::write(&file, b"api \xff").expect("written"),
        }
        server.signal(Signal::SIGHUP);
        server.log().wait_for(reason);
        let victim = server.children()[0];
        victim.signal(Signal::SIGKILL);
        server.tolerate("SIGKILL");
        server.wait_for_others(&[victim], 2);
        assert_eq!(status(&server, "/", ""), 200, "{kind}");
    }
}

#[test]
fn counts_survive_a_reload_and_wrong_rules_change_nothing() {
    let builder = limited(
        "reload",
        "api 1/h burst=3 path=/api\nb 1/h burst=3 path=/b\n",
    );
    let mut server = builder.workers(2).admin().start_with_unknown_workers();
    server.tolerate("limits.conf:2");
    let file = server.dir().join("limits.conf");
    use_up(&server, "/api", "");
    use_up(&server, "/b", "");
    let old = server.children();

    fs::write(&file, "api 1/h burst=3 path=/api\nb 100/x\n").expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("limits.conf:2: \"100/x\" is no rate");
    assert_eq!(server.children(), old);
    assert_eq!(
        (status(&server, "/api", ""), status(&server, "/b", "")),
        (429, 429)
    );

    // A rule that stays goes on counting; one that is changed begins anew; counters stay with the names.
    fs::write(
        &file,
        "b 1/h burst=4 path=/b\nc 1/h burst=3 path=/c\napi 1/h burst=3 path=/api,/d\n",
    )
    .expect("written");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("Generation 2 serves");
    server.wait_for_others(&old, 3);
    assert_eq!(
        (status(&server, "/api", ""), status(&server, "/d", "")),
        (429, 429)
    );
    assert_eq!(passed(&server, 6, "/b", ""), 4);
    use_up(&server, "/c", "");
    let figures = eventually("the new rules are in the metrics", || {
        let figures = server.exposition();
        (figures.sum("oxicorn_rate_limited_total") == 12.0).then_some(figures)
    });
    let counts = ["api", "b", "c"]
        .map(|rule| figures.value(&format!("oxicorn_rate_limited_total{{rule=\"{rule}\"}}")));
    assert_eq!(counts, [5.0, 5.0, 2.0]);
}
