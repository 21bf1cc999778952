//! Limits of the system: an error names the resource, and where its limit is set.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::Uid;

use crate::harness::Server;

#[test]
fn processes_and_threads_that_cannot_be_had_name_their_limits() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody with a limit");
        return;
    }
    let limited = |name: &str| {
        let builder = Server::new(name).lab();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(builder.dir(), open).expect("root");
        builder
    };
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "prlimit",
        "--nproc=1:1",
    ];
    let ended = limited("no process").under(&nobody).run();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let line = ended.log.lines().find(|line| line.contains("Cannot fork"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.log));
    assert!(line.contains("temporarily unavailable"), "{line}");
    assert!(
        line.contains("RLIMIT_NPROC") && line.contains("pids.max"),
        "{line}"
    );
    // Root may fork without limit, but the worker has another user when it starts its threads.
    let ended = limited("no thread")
        .under(&["prlimit", "--nproc=1:1"])
        .args(&["--user", "nobody", "--threads", "4"])
        .run();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let line = ended.log.lines().find(|line| line.contains("cannot start"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.log));
    assert!(line.contains("RLIMIT_NPROC is 1"), "{line}");
}
