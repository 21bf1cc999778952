//! The Python stack of a thread, written by the thread itself in a signal handler (`faulthandler`).
//! That works without the interpreter's lock, which a stuck thread may hold for ever.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How long to wait: a thread in an uninterruptible sleep does not answer.
const TIMEOUT: Duration = Duration::from_millis(200);
/// An answer that has not grown for this long is complete.
const PAUSE: Duration = Duration::from_millis(3);
const MOST: usize = 64 * 1024;

/// Asks threads for their stacks.
#[derive(Debug)]
pub(crate) struct Stacks {
    signal: i32,
    /// Anonymous memory that the handler writes to.
    answer: Mutex<File>,
}

impl Stacks {
    /// Registers a real-time signal that is rarely used.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let signal = libc::SIGRTMAX() - 2;
        let memory = memfd_create(c"oxicorn-stacks", MFdFlags::MFD_CLOEXEC);
        let answer = File::from(memory.map_err(std::io::Error::from)?);
        let options = PyDict::new(py);
        options.set_item("file", answer.as_raw_fd())?;
        options.set_item("all_threads", false)?;
        let module = py.import("faulthandler")?;
        module.call_method("register", (signal,), Some(&options))?;
        Ok(Self {
            signal,
            answer: Mutex::new(answer),
        })
    }

    /// The stack of `thread`, innermost frame first. `None` if it does not answer or runs no Python
    /// code.
    pub(crate) fn of_thread(&self, thread: i32) -> Option<String> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.set_len(0).ok()?;
        answer.seek(SeekFrom::Start(0)).ok()?;
        // SAFETY: tgkill(2) takes numbers; for a thread that has ended it fails.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, self.signal) };
        let deadline = Instant::now() + TIMEOUT;
        let mut seen = 0;
        while sent == 0 && Instant::now() < deadline {
            sleep(PAUSE);
            let length = answer.metadata().ok()?.len();
            if length > 0 && length == seen {
                break;
            }
            seen = length;
        }
        let mut text = vec![0; usize::try_from(seen).map_or(MOST, |it| it.min(MOST))];
        answer.read_exact_at(&mut text, 0).ok()?;
        let text = String::from_utf8_lossy(&text);
        // The first line is a heading. A thread that has not answered earlier requests answers them all now, each with
        // a heading of its own.
        let lines = text.lines().skip(1);
        let frames: Vec<&str> = lines.take_while(|line| line.starts_with("  ")).collect();
        let frames = frames.join("\n");
        frames.contains("File ").then_some(frames)
    }
}
