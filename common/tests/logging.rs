//! The two logs of a process and its children: one test, since both belong to the process.
#![allow(unsafe_code, reason = "fork has no safe interface")]

use std::fs;

use log::{debug, error, info};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use oxicorn_common::logging::Level;
use oxicorn_common::{Settings, logging};

const CHILDREN: usize = 4;
const LINES: usize = 500;
/// Longer than a page and than `PIPE_BUF`: it still has to be one write.
const LENGTH: usize = 6000;

#[test]
fn logs_of_many_processes_follow_settings_and_rotation() {
    let directory = std::env::temp_dir().join(format!("oxicorn-logs-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let path = |name: &str| directory.join(name);
    let read = |name: &str| fs::read_to_string(path(name)).expect("a log");
    let settings = |error: &str, access: Option<&str>, level| Settings {
        errorlog: path(error).display().to_string(),
        accesslog: access.map(|name| path(name).display().to_string()),
        loglevel: level,
        ..Settings::default()
    };

    logging::init(&settings("error", Some("access"), Level::Info)).expect("both logs");
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

    logging::init(&settings("other", None, Level::Error)).expect("other logs");
    logging::write_access(b"to nobody\n");
    info!("not any more");
    error!("here");
    assert!(!logging::access_enabled());
    assert!(read("other").ends_with("[ERROR] here\n"));
    assert_eq!(read("other").lines().count(), 1);
    assert_eq!(read("error").lines().count(), 2);

    let nowhere = Settings {
        accesslog: Some("/nowhere/access".to_owned()),
        ..settings("third", None, Level::Info)
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
