//! The terminal while `top` draws on it: the other screen, no echo, keys without Enter. Dropping it gives it back.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{FlowArg, LocalFlags, SetArg, Termios, tcflow, tcgetattr, tcsetattr};
use oxicorn_common::SignalPipe;

use super::exit::CtlError;
use super::link::{LinkWait, poll_timeout};

/// The other screen, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal that takes nothing for so many milliseconds does not get the last octets.
const LEAVE_WITHIN: u16 = 1000;
const PIECE: usize = 256;

pub(super) struct Terminal {
    before: Option<Termios>,
    signals: SignalPipe,
}

/// What has happened beside keys.
struct Attention {
    is_ready: bool,
    has_new_size: bool,
}

/// Whether a screen can be drawn.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

impl Terminal {
    pub(super) fn take() -> Result<Self, CtlError> {
        let mut terminal = Self::attach().map_err(|it| no_terminal(&it))?;
        terminal.print(ENTER)?;
        Ok(terminal)
    }

    fn attach() -> io::Result<Self> {
        // They must not leave the terminal as it is now.
        let signals = [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
            Signal::SIGWINCH,
        ];
        let signals = SignalPipe::install(&signals)?;
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut attributes) = before.clone() {
            attributes
                .local_flags
                .remove(LocalFlags::ICANON | LocalFlags::ECHO);
            tcsetattr(io::stdin(), SetArg::TCSANOW, &attributes)?;
        }
        Ok(Self { before, signals })
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = crate::sys::window_size(io::stdout());
        size.filter(|it| it.0 > 0 && it.1 > 0).unwrap_or((80, 24))
    }

    /// Shows `text`, cut to the size of the terminal.
    pub(super) fn draw(&mut self, text: &str) -> Result<(), CtlError> {
        let (columns, lines) = self.size();
        let mut screen = "\x1b[H".to_owned();
        for line in text.lines().take(lines) {
            let line: String = line.chars().take(columns).collect();
            // The rest of the line is cleared, and no line break scrolls.
            screen.push_str(&line);
            screen.push_str("\x1b[K\r\n");
        }
        screen.truncate(screen.trim_end_matches("\r\n").len());
        screen.push_str("\x1b[J");
        self.print(&screen)
    }

    /// Waits for that long, or until the size has changed.
    pub(super) fn rest(&mut self, time: Duration) -> Result<(), CtlError> {
        let end = Instant::now().checked_add(time);
        loop {
            let seen = self.attend(None, end)?;
            if seen.has_new_size || end.is_some_and(|end| end <= Instant::now()) {
                return Ok(());
            }
        }
    }

    /// Waits for a descriptor, and for keys and signals, once. The error is that the user wants to leave.
    fn attend(
        &mut self,
        other: Option<(BorrowedFd<'_>, PollFlags)>,
        end: Option<Instant>,
    ) -> Result<Attention, CtlError> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        // Without a terminal to read from there are no keys.
        if self.before.is_some() {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let watched = fds.len();
        fds.extend(other.map(|(fd, flags)| PollFd::new(fd, flags)));
        let is_reported = poll(&mut fds, poll_timeout(end)).is_ok();
        let is_ready =
            |index: usize| is_reported && fds.get(index).is_some_and(|it| it.any() == Some(true));
        let (has_key, is_ready) = (watched == 2 && is_ready(1), is_ready(watched));
        let signals = self.signals.take();
        if signals.iter().any(|&signal| signal != Signal::SIGWINCH) {
            return Err(CtlError::Left);
        }
        if has_key {
            let mut key = [0];
            let count = nix::unistd::read(&stdin, &mut key).unwrap_or(0);
            if count == 0 || matches!(key[0], b'q' | b'Q' | 3 | 4) {
                return Err(CtlError::Left);
            }
        }
        Ok(Attention {
            is_ready,
            has_new_size: !signals.is_empty(),
        })
    }

    /// Writes when the terminal takes something: it may have been stopped by Ctrl-S.
    fn print(&mut self, text: &str) -> Result<(), CtlError> {
        let stdout = io::stdout();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let seen = self.attend(Some((stdout.as_fd(), PollFlags::POLLOUT)), None)?;
            if seen.is_ready {
                rest = &rest[write_some(rest).map_err(|it| no_terminal(&it))?..];
            }
        }
        Ok(())
    }
}

impl LinkWait for Terminal {
    fn wait(
        &mut self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        end: Option<Instant>,
    ) -> Result<(), CtlError> {
        self.attend(Some((fd, flags)), end).map(drop)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The user has left, also one who has stopped the output with Ctrl-S. The kernel starts only what was stopped in the
        // same way.
        let _ = tcflow(io::stdout(), FlowArg::TCOOFF);
        let _ = tcflow(io::stdout(), FlowArg::TCOON);
        let stdout = io::stdout();
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::from(LEAVE_WITHIN)) != Ok(0) {
            let _ = write_some(LEAVE.as_bytes());
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

/// So little that a terminal that takes anything takes it all at once.
fn write_some(octets: &[u8]) -> io::Result<usize> {
    let piece = &octets[..octets.len().min(PIECE)];
    match nix::unistd::write(io::stdout(), piece) {
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(0),
        outcome => Ok(outcome?),
    }
}

fn no_terminal(error: &io::Error) -> CtlError {
    CtlError::Refused(format!("no terminal: {error}"))
}
