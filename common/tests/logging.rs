//! The two logs of a process and its children. One test, because the logs are process-wide.
#![allow(unsafe_code, reason = "fork has no safe interface")]

use std::fs;

use log::{debug, error, info};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use oxicorn_common::logging::{self, Level, LoggingOptions};

const CHILDREN: usize = 4;
const LINES: usize = 500;
/// Longer than a page and than `PIPE_BUF`: it still has to be one write.
const LENGTH: usize = 6000;

#[test]
fn logs_of_many_processes_follow_options_and_rotation() {
    let directory = std::env::temp_dir().join(format!("oxicorn-logs-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let path = |name: &str| directory.join(name);
    let read = |name: &str| fs::read_to_string(path(name)).expect("a log");
    let options = |error: &str, access: Option<&str>, level| LoggingOptions {
        error_log: path(error).display().to_string(),
        access_log: access.map(|name| path(name).display().to_string()),
        level,
        ..LoggingOptions::default()
    };

    logging::init(&options("error", Some("access"), Level::Info)).expect("both logs");
    assert!(logging::access_enabled());
    write_from_children();
    let access = fs::read(path("access")).expect("the access log");
    assert_eq!(access.len(), CHILDREN * LINES * LENGTH);
    for line in access.chunks(LENGTH) {
        assert!(line.ends_with(b"\n") && line[..LENGTH - 1].iter().all(|byte| *byte == line[0]));
    }
    let pids: Vec<_> = read("error")
        .lines()
        .map(|line| line.split(['[', ']']).nth(3).expect("a pid").to_owned())
        .collect();
    let distinct = pids.iter().filter(|pid| **pid != pids[0]).count();
    assert_eq!((pids.len(), distinct), (CHILDREN, CHILDREN - 1));

    fs::rename(path("error"), path("error.1")).expect("a rotation");
    info!("before");
    logging::reopen();
    info!("after\nof two lines");
    debug!("not at this level");
    assert!(read("error.1").ends_with("[INFO] before\n"));
    assert!(read("error").ends_with("[INFO] after\nof two lines\n"));
    assert_eq!(read("error").lines().count(), 2);

    logging::init(&options("other", None, Level::Error)).expect("other logs");
    logging::write_access(b"to nobody\n");
    info!("not any more");
    error!("here");
    assert!(!logging::access_enabled());
    assert!(read("other").ends_with("[ERROR] here\n"));
    assert_eq!(read("other").lines().count(), 1);
    assert_eq!(read("error").lines().count(), 2);

    let nowhere = LoggingOptions {
        access_log: Some("/nowhere/access".to_owned()),
        ..options("third", None, Level::Info)
    };
    let problem = logging::init(&nowhere).expect_err("no such directory");
    assert!(problem.to_string().contains("/nowhere/access"));
    error!("still here");
    assert_eq!(read("other").lines().count(), 2);
    fs::remove_dir_all(directory).expect("the end");
}

/// Forks children that all write at once, and waits for them.
fn write_from_children() {
    let mut children = Vec::new();
    for child in 0..CHILDREN {
        // SAFETY: the child only formats, writes and exits; its allocator is glibc's, which is made
        // ready for the child by fork itself.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let mut line = vec![b'a' + child as u8; LENGTH];
                line[LENGTH - 1] = b'\n';
                (0..LINES).for_each(|_| logging::write_access(&line));
                info!("child {child}");
                // SAFETY: ends the child without the exit handlers of the test harness.
                unsafe { libc::_exit(0) };
            }
        }
    }
    for child in children {
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
    }
}
