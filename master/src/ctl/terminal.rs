//! The terminal while `top` draws on it: the other screen, no echo, keys without Enter. Dropping it gives it back.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use oxicorn_common::SignalPipe;

/// The other screen, and no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

pub(super) struct Terminal {
    before: Option<Termios>,
    signals: SignalPipe,
}

/// Whether a screen can be drawn.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

impl Terminal {
    pub(super) fn take() -> io::Result<Self> {
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
        print(ENTER)?;
        Ok(Self { before, signals })
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = crate::sys::window_size(io::stdout());
        size.filter(|it| it.0 > 0 && it.1 > 0).unwrap_or((80, 24))
    }

    /// Shows `text`, cut to the size of the terminal.
    pub(super) fn draw(&self, text: &str) -> io::Result<()> {
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
        print(&screen)
    }

    /// Waits for that long; false if the user wants to leave.
    pub(super) fn rest(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let left = left + Duration::from_millis(1);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let stdin = io::stdin();
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            ];
            // Without a terminal to read from there are no keys.
            let watched = if self.before.is_some() { 2 } else { 1 };
            let _ = poll(&mut fds[..watched], timeout);
            let has_key = watched == 2 && fds[1].any() == Some(true);
            let signals = self.signals.take();
            if signals.iter().any(|&signal| signal != Signal::SIGWINCH) {
                return false;
            }
            if !signals.is_empty() {
                return true;
            }
            if has_key {
                let mut key = [0];
                let count = nix::unistd::read(&stdin, &mut key).unwrap_or(0);
                if count == 0 || matches!(key[0], b'q' | b'Q' | 3 | 4) {
                    return false;
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = print(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
