//! Numbers that do not go together stop the start, and the message says where they come from.

use crate::harness::Server;

pub(super) fn refusal(args: &[&str], env: &[(&str, &str)]) -> String {
    let mut builder = Server::new("scaling-settings").args(args);
    for (name, value) in env {
        builder = builder.env(name, value);
    }
    let ended = builder.arg("--check-config").run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    ended.log
}

#[test]
fn bounds_that_contradict_each_other_are_refused() {
    for (args, env, expected) in [
        (
            &["--min-workers", "8", "--max-workers", "4"][..],
            &[][..],
            r#"flag --min-workers: invalid value "8": expected 4 at most, which is max_workers"#,
        ),
        (
            &["--min-workers", "2", "--max-workers", "4", "-w", "6"],
            &[],
            r#"flag --workers: invalid value "6": expected a number from 2 (min_workers) to 4 (max_workers)"#,
        ),
        (
            &["--max-workers", "4"],
            &[("WEB_CONCURRENCY", "6")],
            r#"variable WEB_CONCURRENCY: invalid value "6": expected 4 at most, which is max_workers"#,
        ),
        (
            &["--min-workers", "2"],
            &[],
            r#"flag --min-workers: invalid value "2": expected a max_workers beside it"#,
        ),
        (
            &["--max-workers", "251"],
            &[],
            r#"flag --max-workers: invalid value "251": expected a whole number from 0 to 250, or auto"#,
        ),
    ] {
        let log = refusal(args, env);
        assert!(log.contains(expected), "{expected}\n{log}");
    }
}

#[test]
fn bounds_alone_are_enough() {
    let server = Server::new("scaling-bounds")
        .args(&["--min-workers", "2", "--max-workers", "3"])
        .start_with_unknown_workers();
    server.wait_for_children(2);
}
