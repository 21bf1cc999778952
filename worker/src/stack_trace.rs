//! Where another thread of this process is: its stack, taken by a signal to that very thread.
//!
//! Only for a thread that has been given up. The handler walks its own stack, which may wait for
//! ever if the thread holds the loader's lock; then the log does without.
#![allow(unsafe_code, reason = "a signal handler and the stack walk inside it")]

use std::fmt::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Ignored by default and used by nobody else here (signal(7)).
const SIGNAL: Signal = Signal::SIGURG;
const DEPTH: usize = 64;
/// A thread in an uninterruptible sleep does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

static FRAMES: [AtomicUsize; DEPTH] = [const { AtomicUsize::new(0) }; DEPTH];
static FOUND: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

/// The call stack of `thread`, one function a line, innermost first.
pub(crate) fn of_thread(thread: libc::pid_t) -> String {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let action = SigAction::new(
            SigHandler::Handler(capture),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        // SAFETY: the handler allocates nothing and touches atomics of its own only.
        let _ = unsafe { sigaction(SIGNAL, &action) };
    });
    DONE.store(false, Ordering::SeqCst);
    // SAFETY: tgkill(2) takes numbers; a thread that is gone is an error.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL as i32) };
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while sent == 0 && !DONE.load(Ordering::SeqCst) && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    if !DONE.load(Ordering::SeqCst) {
        return "  (no answer from the thread)".to_owned();
    }
    describe(&FRAMES[..FOUND.load(Ordering::SeqCst)])
}

extern "C" fn capture(_: libc::c_int) {
    let errno = nix::errno::Errno::last();
    let mut count = 0;
    // SAFETY: one thread is asked at a time, so nobody else walks a stack through this function.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            FRAMES[count].store(frame.ip().addr(), Ordering::SeqCst);
            count += 1;
            count < DEPTH
        });
    }
    FOUND.store(count, Ordering::SeqCst);
    DONE.store(true, Ordering::SeqCst);
    errno.set();
}

/// Names the functions, without the frames of the handler itself.
fn describe(frames: &[AtomicUsize]) -> String {
    let mut text = String::new();
    let mut inside_handler = true;
    for frame in frames {
        let address = std::ptr::with_exposed_provenance_mut(frame.load(Ordering::SeqCst));
        backtrace::resolve(address, |symbol| {
            let name = symbol
                .name()
                .map(|name| format!("{name:#}"))
                .unwrap_or_default();
            if inside_handler {
                inside_handler = !name.contains("stack_trace::capture");
                return;
            }
            let place = symbol.filename().zip(symbol.lineno());
            let _ = match place {
                Some((file, line)) => writeln!(text, "  {name} at {}:{line}", file.display()),
                None => writeln!(text, "  {name}"),
            };
        });
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    #[inline(never)]
    fn wait_here_for(end: &AtomicBool, tell: &Sender<libc::pid_t>) {
        let id = nix::unistd::gettid().as_raw();
        tell.send(id).expect("the test waits");
        while !end.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_stuck_thread_is_found_where_it_is() {
        static END: AtomicBool = AtomicBool::new(false);
        let (tell, told) = channel();
        let stuck = std::thread::spawn(move || wait_here_for(&END, &tell));
        let stack = of_thread(told.recv().expect("a thread id"));
        END.store(true, Ordering::SeqCst);
        stuck.join().expect("no panic");
        assert!(stack.contains("wait_here_for"), "{stack}");
    }
}
