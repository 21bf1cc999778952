//! What there is not enough of is named, with where its limit is.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::unistd::Uid;

use crate::harness::Server;

#[test]
fn a_body_that_cannot_be_kept_names_directory_and_cause() {
    let builder = Server::new("no spool")
        .lab()
        .args(&["--tmp-upload-dir", "spool"]);
    let spool = builder.dir().join("spool");
    fs::create_dir(&spool).expect("a directory");
    let mut server = builder.start();
    fs::remove_dir(&spool).expect("it is empty");
    server.tolerate("temporary file");
    let mut client = server.client();
    let body = vec![b'x'; 100_000];
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).expect("sent");
    // The refusal may come before all of it has been sent.
    let _ = client.send(&body);
    assert_eq!(client.answer().expect("an answer").status, 500);
    let line = server.log().wait_for("temporary file");
    assert!(
        line.contains("[ERROR]") && !line.contains("Invalid request"),
        "{line}"
    );
    assert!(line.contains("No such file or directory"), "{line}");
    assert!(line.contains(&spool.display().to_string()), "{line}");
}

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
    // Root forks as it likes; the worker is somebody else by the time that it needs threads.
    let ended = limited("no thread")
        .under(&["prlimit", "--nproc=1:1"])
        .args(&["--user", "nobody", "--threads", "4"])
        .run();
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let line = ended.log.lines().find(|line| line.contains("cannot start"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.log));
    assert!(line.contains("RLIMIT_NPROC is 1"), "{line}");
}
