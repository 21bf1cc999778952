//! A queue of writers. SQLite allows one writer at a time and makes the others poll, which starves some of them for
//! seconds. Here they queue: at a mutex in a process, at flock(2) on a separate file between processes. The kernel
//! releases the lock of a process that dies.
//!
//! ```text
//!   thread --+                            +-- try_lock: the turn is ours
//!   thread --+-- one of them at a time ---+
//!   thread --+                            +-- else a helper thread waits at flock(2), which has no timeout;
//!                                             the waiting thread itself waits only until its deadline
//! ```

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct Turns {
    shared: Arc<TurnQueue>,
}

#[derive(Debug)]
struct TurnQueue {
    path: String,
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A thread of this process writes, or is the next to.
    taken: bool,
    helper: Helper,
}

/// The state of the helper thread.
#[derive(Debug, Default)]
enum Helper {
    #[default]
    Idle,
    Waits,
    /// It has the lock, for the thread that has taken the turn.
    Has,
    Failed(io::Error),
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a TurnQueue);

impl Turns {
    /// Queues at `PATH-turn`, beside the database at `path`.
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let (path, file) = beside(path, "-turn")?;
        let shared = TurnQueue {
            path,
            file,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The turn, unless the deadline passes first: then [`StoreError::Busy`].
    pub(super) fn wait(&self, deadline: Instant) -> Result<Turn<'_>, StoreError> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        while state.taken {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Busy(None));
            }
            let waited = shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if matches!(state.helper, Helper::Idle) {
            match shared.file.try_lock() {
                Ok(()) => {
                    state.taken = true;
                    return Ok(Turn(shared));
                }
                Err(TryLockError::WouldBlock) => self.send_helper(&mut state)?,
                Err(TryLockError::Error(error)) => return Err(shared.problem(error)),
            }
        }
        state.taken = true;
        loop {
            match std::mem::take(&mut state.helper) {
                Helper::Has => return Ok(Turn(shared)),
                Helper::Waits => state.helper = Helper::Waits,
                Helper::Idle => {}
                Helper::Failed(error) => {
                    state.taken = false;
                    return Err(shared.problem(error));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Under the same lock as the check above. If the helper gets the file's lock from now on, it releases
                // it, unless another thread has taken the turn by then.
                state.taken = false;
                drop(state);
                shared.changed.notify_all();
                return Err(StoreError::Busy(None));
            }
            let waited = shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn send_helper(&self, state: &mut State) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let helper = thread::Builder::new().name("turn".to_owned());
        helper
            .spawn(move || shared.queue())
            .map_err(|error| self.shared.problem(error))?;
        state.helper = Helper::Waits;
        Ok(())
    }
}

impl TurnQueue {
    /// Waits for the lock, and releases it if no thread wants it any more.
    fn queue(&self) {
        let locked = self.file.lock();
        let mut state = self.lock();
        state.helper = match locked {
            Err(error) => Helper::Failed(error),
            Ok(()) if state.taken => Helper::Has,
            Ok(()) => {
                self.unlock();
                Helper::Idle
            }
        };
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unlock(&self) {
        // It cannot fail for a descriptor that is open (flock(2)).
        let _ = self.file.unlock();
    }

    fn problem(&self, cause: io::Error) -> StoreError {
        StoreError::Lock {
            path: self.path.clone(),
            cause,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.unlock();
        state.taken = false;
        drop(state);
        // Waking one thread could be in vain, if that one gives up at this moment.
        self.0.changed.notify_all();
    }
}

/// A lock file beside the database, and its path.
pub(super) fn beside(path: &Path, suffix: &str) -> Result<(String, File), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    let path = Path::new(&name).display().to_string();
    match File::options().create(true).append(true).open(name) {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(StoreError::Lock { path, cause }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn turns() -> (tempfile::TempDir, Turns, Turns) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let open = || Turns::new(&path).expect("a file");
        let (here, elsewhere) = (open(), open());
        (folder, here, elsewhere)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    #[test]
    fn who_waits_too_long_gives_up_and_leaves_nothing_taken() {
        let (_folder, here, elsewhere) = turns();
        let far = || Instant::now() + Duration::from_secs(20);
        let foreign = elsewhere.wait(far()).expect("the turn");
        for _ in 0..3 {
            let outcome = here.wait(soon());
            assert!(
                matches!(outcome, Err(StoreError::Busy(None))),
                "{outcome:?}"
            );
        }
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| here.wait(far()).map(drop)))
                .collect();
            drop(foreign);
            for one in waiting {
                one.join().expect("no panic").expect("the turn");
            }
        });
        drop(elsewhere.wait(far()).expect("it was given back"));
    }
}
