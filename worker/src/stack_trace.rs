//! The call stack of another thread of this process, taken by a signal to that thread.
//!
//! Use it only for a thread that is abandoned, or if the user asks for it: the signal may interrupt its system call.
//! The handler walks the thread's own stack. With glibc before 2.35 it may wait for ever if the thread holds the
//! loader's lock; the log then has no stack.
#![allow(unsafe_code, reason = "a signal handler and the stack walk inside it")]

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sync::lock;

const DEPTH: usize = 64;
/// A thread in an uninterruptible sleep does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// The thread that is asked: one that answers too late must not answer for another.
static WANTED: AtomicI32 = AtomicI32::new(0);
static FRAMES: [AtomicUsize; DEPTH] = [const { AtomicUsize::new(0) }; DEPTH];
static FOUND: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

/// The addresses of the functions that `thread` is in, innermost first. `None` when it does not answer in a moment.
pub(crate) fn of_thread(thread: libc::pid_t) -> Option<Vec<usize>> {
    static INSTALL: Once = Once::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = lock(&ONE_AT_A_TIME);
    INSTALL.call_once(install);
    WANTED.store(thread, Ordering::SeqCst);
    DONE.store(false, Ordering::SeqCst);
    // SAFETY: tgkill(2) takes numbers; a thread that is gone is an error.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while sent == 0 && !DONE.load(Ordering::SeqCst) && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    if !DONE.load(Ordering::SeqCst) {
        return None;
    }
    let found = FRAMES[..FOUND.load(Ordering::SeqCst)].iter();
    Some(found.map(|frame| frame.load(Ordering::SeqCst)).collect())
}

/// A real-time signal that is not used otherwise (signal(7)); the next one is for stacks of Python.
fn signal() -> libc::c_int {
    libc::SIGRTMAX() - 3
}

fn install() {
    // SAFETY: all zeros is a valid sigaction: no flags, no signals blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = capture as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler allocates nothing and touches only its own atomics.
    unsafe { libc::sigaction(signal(), &action, std::ptr::null_mut()) };
}

extern "C" fn capture(_: libc::c_int) {
    let errno = nix::errno::Errno::last();
    if nix::unistd::gettid().as_raw() != WANTED.load(Ordering::SeqCst) {
        return errno.set();
    }
    let mut count = 0;
    // SAFETY: one thread is asked at a time, so no other thread walks a stack through this function.
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

/// Names the functions, one per line, without the frames of the handler itself. May take seconds. What has no name, as
/// in a library without symbols, is an address.
pub(crate) fn name(frames: &[usize]) -> String {
    let mut lines = Vec::new();
    let mut handler_end = 0;
    for &frame in frames {
        let before = lines.len();
        let address = std::ptr::with_exposed_provenance_mut(frame);
        backtrace::resolve(address, |symbol| {
            let Some(name) = symbol.name().map(|name| format!("{name:#}")) else {
                return;
            };
            let place = symbol.filename().zip(symbol.lineno());
            lines.push(match place {
                Some((file, line)) => format!("  {name} at {}:{line}", file.display()),
                None => format!("  {name}"),
            });
            if name.contains("stack_trace::capture") {
                handler_end = lines.len();
            }
        });
        if lines.len() == before {
            lines.push(format!("  {frame:#x}"));
        }
    }
    lines.split_off(handler_end).join("\n")
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
        let frames = of_thread(told.recv().expect("a thread id")).expect("an answer");
        let stack = name(&frames);
        END.store(true, Ordering::SeqCst);
        stuck.join().expect("no panic");
        assert!(stack.contains("wait_here_for"), "{stack}");
        assert!(
            is_default(libc::SIGURG),
            "the master asks with it whether a worker is alive"
        );
    }

    fn is_default(signal: libc::c_int) -> bool {
        // SAFETY: sigaction(2) writes the current action and changes nothing.
        let action = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action);
            action
        };
        action.sa_sigaction == libc::SIG_DFL
    }
}
