//! Starts threads that a process must have. If one cannot be started, the error names the limit that was reached.

use std::fmt::Write;
use std::io;
use std::thread::{Builder, JoinHandle};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use oxicorn_common::cgroup;

/// The size if RLIMIT_STACK sets no limit: the default of most systems.
const USUAL_STACK: usize = 8 * 1024 * 1024;
/// The server's own code needs some of it.
const SMALLEST_STACK: usize = 256 * 1024;

/// A thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {what}: {source}. {advice}")]
pub(crate) struct ThreadError {
    what: String,
    source: io::Error,
    advice: String,
}

/// Starts a thread called `name`; the message of an error calls it `what`.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    what: impl FnOnce() -> String,
    stack: usize,
    life: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ThreadError> {
    let builder = Builder::new().name(name.to_owned()).stack_size(stack);
    builder.spawn(life).map_err(|source| ThreadError {
        advice: advice(&source, stack),
        what: what(),
        source,
    })
}

/// The stack size in octets of a thread that runs the application: that of RLIMIT_STACK, which the C library
/// also uses for threads of other programs (pthread_create(3)).
pub(crate) fn stack_size() -> usize {
    match getrlimit(Resource::RLIMIT_STACK) {
        Ok((soft, _)) if soft != RLIM_INFINITY => usize::try_from(soft)
            .unwrap_or(USUAL_STACK)
            .max(SMALLEST_STACK),
        _ => USUAL_STACK,
    }
}

/// Lists the limits, and advises. The kernel does not report which one was reached (pthread_create(3), clone(2)).
fn advice(error: &io::Error, stack: usize) -> String {
    let forbidden = [libc::EPERM, libc::EACCES, libc::ENOSYS].map(Some);
    if forbidden.contains(&error.raw_os_error()) {
        return "A seccomp filter or a security policy does not let this process have threads: \
            allow clone3(2) and clone(2) with CLONE_THREAD"
            .to_owned();
    }
    let mut limits = Vec::new();
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NPROC)
        && soft != RLIM_INFINITY
    {
        limits.push(format!("RLIMIT_NPROC is {soft} (ulimit -u, LimitNPROC=)"));
    }
    if let Some(limit) = limit_of_cgroup() {
        limits.push(format!("{limit} (TasksMax=, --pids-limit)"));
    }
    let mut text = format!(
        "Each thread has a stack of {} KiB (RLIMIT_STACK)",
        stack / 1024
    );
    for limit in limits {
        let _ = write!(text, ", {limit}");
    }
    text + ". Raise the limit that is too low, or set fewer `threads`, `max_threads` or `workers`"
}

/// The control group's limit of processes and threads, if it reports one.
fn limit_of_cgroup() -> Option<String> {
    let files = cgroup::files("pids", "pids.max", "pids.max").into_iter();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).ok();
    let mut found = files.filter_map(|path| Some((read(&path)?, path)));
    let (most, path) = found.find(|(text, _)| text.trim() != "max")?;
    let used = read(&path.with_file_name("pids.current")).unwrap_or_default();
    Some(format!(
        "pids.max of its control group is {} with {} in use",
        most.trim(),
        used.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_cannot_be_started_names_itself_and_the_limits() {
        // No address space is that large.
        let started = start("vast", || "the vast one".to_owned(), 1 << 60, || ());
        let error = started.expect_err("no such stack").to_string();
        assert!(error.contains("cannot start the vast one: "), "{error}");
        assert!(error.contains("RLIMIT_STACK"), "{error}");
        let forbidden = advice(&io::Error::from_raw_os_error(libc::EPERM), USUAL_STACK);
        assert!(forbidden.contains("seccomp"), "{forbidden}");
    }
}
