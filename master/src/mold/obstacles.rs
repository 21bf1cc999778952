//! What keeps a worker from becoming a mold: threads, which no fork has, and connections, which two processes cannot
//! share.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::open_sockets::OpenSockets;

/// The thread of the host that logs. It holds no lock of ours during a fork.
const HOST_THREAD: &str = "logging";
/// How long a thread may take to end that has been told to.
const LAST_STEPS: Duration = Duration::from_secs(2);

/// Why this process cannot be a mold. `before` are the sockets that it had before it loaded the application.
pub(super) fn find(before: &OpenSockets, host_has_threads: bool) -> Result<(), String> {
    let until = Instant::now() + LAST_STEPS;
    let threads = loop {
        let threads = other_threads(host_has_threads);
        if threads.is_empty() || Instant::now() >= until {
            break threads;
        }
        thread::sleep(Duration::from_millis(2));
    };
    if !threads.is_empty() {
        return Err(format!(
            "it has threads that a fork would not have ({}): end them in worker_exit",
            threads.join(", ")
        ));
    }
    let connections = OpenSockets::now().opened_since(before);
    if !connections.is_empty() {
        return Err(format!(
            "it has open connections that workers cannot share ({}): close them after the request or in worker_exit",
            connections.join(", ")
        ));
    }
    Ok(())
}

/// The names of the threads besides this one.
fn other_threads(host_has_threads: bool) -> Vec<String> {
    let own = nix::unistd::gettid().to_string();
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let others = tasks.filter(|task| task.file_name().to_str() != Some(&own));
    // One that has no name any more has just ended.
    let names = others.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let names = names.map(|name| name.trim().to_owned());
    names
        .filter(|name| !(host_has_threads && name == HOST_THREAD))
        .collect()
}
