//! `--daemon`: the server goes on in the background, and the command that started it returns when
//! it serves.
//!
//! ```text
//!   command --fork--> session leader --fork--> master --fork--> workers
//!      ^                  (exits)                |
//!      '--------- exit code and reason ----------'
//! ```
//!
//! The second fork makes a process that leads no session and so never gets a terminal again
//! (daemon(7)). What the master writes to the pipe is the command's exit code and last words.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};

use nix::fcntl::OFlag;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};

use crate::host::{Host, fork};
use crate::sys;

/// In which process [`daemonize`] has returned.
#[derive(Debug)]
pub(crate) enum Side {
    /// The command that was started; the server is up, or is not.
    Command(u8),
    Master(Announcement),
}

/// The way to the waiting command; nothing in the foreground.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    pipe: Option<File>,
}

impl Announcement {
    /// Tells the command that the server serves.
    pub(crate) fn serving(&mut self) {
        self.send(0, "");
    }

    /// Tells the command that the server ends with `code` before it has ever served.
    pub(crate) fn failed(&mut self, code: i32, reason: &str) {
        self.send(u8::try_from(code).unwrap_or(1), reason);
    }

    fn send(&mut self, code: u8, reason: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            // A command that was interrupted hears nothing, which is its own wish.
            let _ = pipe.write_all(&[code]);
            let _ = pipe.write_all(reason.as_bytes());
        }
    }
}

/// Detaches from the terminal. In the command it returns when the master has announced how it went.
///
/// Standard output and error go to nobody, or stay as they are with `keep_output`, unless they are a
/// terminal's.
pub(crate) fn daemonize(host: &dyn Host, keep_output: bool) -> io::Result<Side> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    if fork(host)?.is_some() {
        drop(writer);
        return Ok(Side::Command(wait_for_news(File::from(reader))));
    }
    drop(reader);
    setsid()?;
    if fork(host)?.is_some() {
        sys::exit_now(0);
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    let keeps = |stream: &dyn IsTerminal| keep_output && !stream.is_terminal();
    if !keeps(&io::stdout()) {
        dup2_stdout(&null)?;
    }
    if !keeps(&io::stderr()) {
        dup2_stderr(&null)?;
    }
    Ok(Side::Master(Announcement {
        pipe: Some(File::from(writer)),
    }))
}

fn wait_for_news(mut pipe: File) -> u8 {
    let mut news = Vec::new();
    // An error is a pipe without news.
    let _ = pipe.read_to_end(&mut news);
    match news.split_first() {
        Some((0, _)) => 0,
        Some((&code, reason)) => {
            eprintln!("oxicorn: {}", String::from_utf8_lossy(reason).trim_end());
            code
        }
        None => {
            eprintln!("oxicorn: the master has ended before it served; see the error log");
            1
        }
    }
}
