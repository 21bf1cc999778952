//! The lines that a server writes to a pipe, read as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::TIMEOUT;

/// A growing list of lines. It is complete when no process has the pipe open any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<(Mutex<Content>, Condvar)>);

#[derive(Debug, Default)]
struct Content {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    /// Reads `pipe` to its end on a thread of its own.
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                writer.change(|it| it.lines.push(String::from_utf8_lossy(&line).into_owned()));
            }
            writer.change(|it| it.ended = true);
        });
        log
    }

    /// The first line that contains `pattern`; waits for it.
    pub(crate) fn wait_for(&self, pattern: &str) -> String {
        self.wait_for_nth(pattern, 1)
    }

    /// The `n`th line, counted from 1, that contains `pattern`; waits for it, for each of them as long.
    pub(crate) fn wait_for_nth(&self, pattern: &str, n: usize) -> String {
        let nth = |count: usize| {
            let found = self.wait(TIMEOUT, |it| {
                let mut matches = it.lines.iter().filter(|line| line.contains(pattern));
                matches.nth(count - 1).cloned()
            });
            found.unwrap_or_else(|| {
                panic!(
                    "line {count} with {pattern:?} did not come:\n{}",
                    self.text()
                )
            })
        };
        let lines = (1..=n).map(nth);
        // One after the other, from the first.
        lines.fold(String::new(), |_, line| line)
    }

    /// Whether the last writer closes the pipe in time.
    pub(crate) fn ends_within(&self, timeout: Duration) -> bool {
        self.wait(timeout, |it| it.ended.then_some(())).is_some()
    }

    pub(crate) fn count(&self, pattern: &str) -> usize {
        let content = self.lock();
        let matches = content.lines.iter().filter(|line| line.contains(pattern));
        matches.count()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn wait<T>(&self, timeout: Duration, look: impl Fn(&Content) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut content = self.lock();
        loop {
            let found = look(&content);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() || content.ended {
                return found;
            }
            let changed = self.0.1.wait_timeout(content, left);
            content = changed.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
