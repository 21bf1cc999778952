//! What every server must leave behind: a clean exit, no process, no leaked descriptor, no error in the log that the test
//! did not expect.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Process, Server, TIMEOUT};

/// Longer than any graceful stop takes if no request is under way.
const STOP: Duration = Duration::from_secs(20);

impl Drop for Server {
    fn drop(&mut self) {
        let failing = thread::panicking();
        let problems = match failing {
            true => Vec::new(),
            false => self.stop(),
        };
        // Ends the rest of the group. Fails if no member is left.
        let _ = killpg(Pid::from_raw(self.master().0), Signal::SIGKILL);
        let _ = self.child.wait();
        if failing || !problems.is_empty() {
            eprintln!("--- {}\n--- in {}", self.command, self.dir.path().display());
            eprintln!(
                "--- log\n{}\n--- output\n{}",
                self.log.text(),
                self.out.text()
            );
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

impl Server {
    /// Stops the server unless it has stopped, and reports faults in what it leaves behind.
    fn stop(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        let group = self.master();
        if self.exited.is_none() {
            problems.extend(self.leaked_descriptors());
            group.signal(Signal::SIGTERM);
            let child = &mut self.child;
            self.exited = within(STOP, || child.try_wait().ok().flatten());
        }
        match self.exited {
            Some(status) if status.code() == self.expected_code => {}
            Some(status) => problems.push(format!("the server ended with {status}")),
            None => problems.push(format!("the server did not stop within {STOP:?}")),
        }
        if within(TIMEOUT, || group.group().is_empty().then_some(())).is_none() {
            let left = group.group().into_iter().map(Process::command_line);
            problems.push(format!("processes left: {:?}", left.collect::<Vec<_>>()));
        }
        if !self.log.ends_within(TIMEOUT) {
            problems.push("something still has the server's standard error".to_owned());
        }
        problems.extend(self.unexpected_errors());
        problems
    }

    fn leaked_descriptors(&self) -> Option<String> {
        let allowed = self.descriptors?;
        within(Duration::from_secs(5), || {
            (self.own_descriptors() <= allowed).then_some(())
        })
        .is_none()
        .then(|| {
            let open = self.master().describe_descriptors();
            format!("the master had {allowed} descriptors of its own, now {open:?}")
        })
    }

    fn unexpected_errors(&self) -> Vec<String> {
        let is_error = |line: &String| {
            line.contains("[ERROR]") || line.contains("[CRITICAL]") || line.contains("panicked")
        };
        let is_tolerated =
            |line: &String| self.tolerated.iter().any(|pattern| line.contains(pattern));
        self.log
            .lines()
            .into_iter()
            .filter(|line| is_error(line) && !is_tolerated(line))
            .map(|line| format!("unexpected in the log: {line}"))
            .collect()
    }
}

/// As `eventually`, without panic: a second one would end the whole test run.
fn within<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
