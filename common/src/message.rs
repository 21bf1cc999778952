//! Messages from a child to the master over the child's own pipe: lines of text, one message per line.
//!
//! ```text
//!   born PID
//!   ready
//!   alive
//!   draining
//!   changed STAMP FILE
//!   replace REASON                     as the label of a restart
//!   memory BYTES
//!   warm
//!   becomes-mold
//!   no-mold REASON
//!   failed EXIT_CODE TEXT
//!   stack ROUND THREAD PART TEXT
//!   stacked ROUND
//! ```
//!
//! The child only writes and the master only reads. The master never waits for a child and trusts no length that
//! a child states. It drops a line that is not a message: the supervisor learns the rest from the child's exit.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::scoreboard::RestartReason;

/// Longer texts are cut when they are sent, and longer lines are dropped when they are received.
const MAX_TEXT: usize = 16 * 1024;
const MAX_LINE: usize = 2 * MAX_TEXT + 64;

/// Asks a child whether its event loop turns. A process without a handler ignores it.
pub const PROBE: Signal = Signal::SIGURG;

/// What a child reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// This is the process that the master has asked a mold for.
    Born { pid: i32 },
    /// The child serves.
    Ready,
    /// The answer to [`PROBE`], from the event loop.
    Alive,
    /// The child has been told to end, by the master or by somebody else, and accepts nothing new.
    Draining,
    /// The child asks for a replacement, and to be told to drain when that is ready. Until then it serves.
    Replace { why: RestartReason },
    /// What the child uses, as it has measured.
    Memory { bytes: u64 },
    /// The child has served `refork_after` requests.
    Warm,
    /// The child has drained, and is the mold of its generation from now on.
    BecomesMold,
    /// The child has drained, but cannot be a mold, and ends.
    CannotBecomeMold { reason: String },
    /// A file of the application has changed since it was loaded. `stamp` is the same in all reports of one
    /// change, and never less for a later one.
    Changed { file: String, stamp: u64 },
    /// The child could not boot and will exit with this code.
    Failed { exit_code: i32, text: String },
    /// What the request thread with this index runs, for the master's `round` of questions.
    Stack {
        round: u64,
        index: usize,
        part: StackPart,
        text: String,
    },
    /// All stacks of this round have been sent.
    Stacked { round: u64 },
}

/// What is told of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackPart {
    /// Its state and its request when the stacks were taken, in JSON.
    Request,
    /// The application's stack, such as that of an interpreter.
    Application,
    /// Functions of the process.
    Native,
}

impl StackPart {
    const ALL: [Self; 3] = [Self::Request, Self::Application, Self::Native];

    fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Application => "application",
            Self::Native => "native",
        }
    }
}

/// A pipe for one child. The master makes it before it forks.
pub fn channel() -> io::Result<(MessageSender, MessageReceiver)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((MessageSender::new(writer), MessageReceiver::new(reader)))
}

/// The child's end. Threads may share it.
#[derive(Debug)]
pub struct MessageSender {
    pipe: Mutex<File>,
}

impl MessageSender {
    pub fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Mutex::new(File::from(pipe)),
        }
    }

    /// The pipe, for another process that makes a sender of it again.
    pub fn into_pipe(self) -> OwnedFd {
        let pipe = self.pipe.into_inner();
        pipe.unwrap_or_else(PoisonError::into_inner).into()
    }

    /// Writes one line. The error is that of write(2), and means that the master is gone.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let line = message.to_line();
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.write_all(line.as_bytes())
    }
}

/// The master's end of one child's pipe.
#[derive(Debug)]
pub struct MessageReceiver {
    pipe: File,
    pending: Vec<u8>,
    overlong: bool,
    closed: bool,
}

impl MessageReceiver {
    /// `pipe` is nonblocking.
    pub fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: File::from(pipe),
            pending: Vec::new(),
            overlong: false,
            closed: false,
        }
    }

    /// The whole messages that have arrived. Does not wait.
    pub fn read(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.pipe.read(&mut chunk) {
                Ok(0) => {
                    self.closed = true;
                    return messages;
                }
                Ok(count) => self.feed(&chunk[..count], &mut messages),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != io::ErrorKind::WouldBlock;
                    return messages;
                }
            }
        }
    }

    /// Whether the child has closed its end: there is nothing left to poll for.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn feed(&mut self, bytes: &[u8], messages: &mut Vec<Message>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.pending);
                let dropped = std::mem::take(&mut self.overlong);
                let line = String::from_utf8_lossy(&line[..line.len() - 1]);
                messages.extend(Message::from_line(&line).filter(|_| !dropped));
            } else if self.pending.len() > MAX_LINE {
                self.pending.clear();
                self.overlong = true;
            }
        }
    }
}

impl AsFd for MessageReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Message {
    fn to_line(&self) -> String {
        match self {
            Self::Born { pid } => format!("born {pid}\n"),
            Self::Ready => "ready\n".to_owned(),
            Self::Alive => "alive\n".to_owned(),
            Self::Draining => "draining\n".to_owned(),
            Self::Changed { file, stamp } => format!("changed {stamp} {}\n", escape(file)),
            Self::Replace { why } => format!("replace {}\n", why.as_str()),
            Self::Memory { bytes } => format!("memory {bytes}\n"),
            Self::Warm => "warm\n".to_owned(),
            Self::BecomesMold => "becomes-mold\n".to_owned(),
            Self::CannotBecomeMold { reason } => format!("no-mold {}\n", escape(reason)),
            Self::Failed { exit_code, text } => format!("failed {exit_code} {}\n", escape(text)),
            Self::Stack {
                round,
                index,
                part,
                text,
            } => {
                let (part, text) = (part.as_str(), escape(text));
                format!("stack {round} {index} {part} {text}\n")
            }
            Self::Stacked { round } => format!("stacked {round}\n"),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "born" => Some(Self::Born {
                pid: rest.parse().ok()?,
            }),
            "ready" => Some(Self::Ready),
            "alive" => Some(Self::Alive),
            "draining" => Some(Self::Draining),
            "changed" => {
                let (stamp, file) = rest.split_once(' ')?;
                Some(Self::Changed {
                    file: unescape(file),
                    stamp: stamp.parse().ok()?,
                })
            }
            "replace" => {
                let mut reasons = RestartReason::ALL.into_iter();
                let why = reasons.find(|reason| reason.as_str() == rest)?;
                Some(Self::Replace { why })
            }
            "memory" => Some(Self::Memory {
                bytes: rest.parse().ok()?,
            }),
            "warm" => Some(Self::Warm),
            "becomes-mold" => Some(Self::BecomesMold),
            "no-mold" => Some(Self::CannotBecomeMold {
                reason: unescape(rest),
            }),
            "stack" => {
                let mut words = rest.splitn(4, ' ');
                let (round, index) = (words.next()?, words.next()?);
                let (part, text) = (words.next()?, words.next()?);
                Some(Self::Stack {
                    round: round.parse().ok()?,
                    index: index.parse().ok()?,
                    part: StackPart::ALL.into_iter().find(|it| it.as_str() == part)?,
                    text: unescape(text),
                })
            }
            "stacked" => Some(Self::Stacked {
                round: rest.parse().ok()?,
            }),
            "failed" => {
                let (code, text) = rest.split_once(' ')?;
                Some(Self::Failed {
                    exit_code: code.parse().ok()?,
                    text: unescape(text),
                })
            }
            _ => None,
        }
    }
}

/// Makes one line of a text that may have many, such as a traceback.
fn escape(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT);
    text[..end].replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.as_str().starts_with('n') => {
                characters.next();
                text.push('\n');
            }
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Message {
        Message::Failed {
            exit_code: 4,
            text: text.to_owned(),
        }
    }

    #[test]
    fn messages_arrive_as_sent_and_the_end_is_seen() {
        let (sender, mut receiver) = channel().expect("a pipe");
        assert!(receiver.read().is_empty() && !receiver.is_closed());
        let sent = [
            Message::Born { pid: 4711 },
            Message::Ready,
            Message::Alive,
            Message::Draining,
            Message::Replace {
                why: RestartReason::MaxRequests,
            },
            Message::Memory { bytes: 1 << 40 },
            Message::Warm,
            Message::BecomesMold,
            Message::CannotBecomeMold {
                reason: "threads\nof its own".to_owned(),
            },
            Message::Changed {
                file: "/srv/app\n.py".to_owned(),
                stamp: u64::MAX,
            },
            failed("Traceback:\n  C:\\new\n\n"),
            Message::Stack {
                round: 7,
                index: 3,
                part: StackPart::Native,
                text: "  main at src/main.rs:3\n  start".to_owned(),
            },
            Message::Stacked { round: 7 },
        ];
        sent.iter()
            .for_each(|message| sender.send(message).expect("a write"));
        assert_eq!(receiver.read(), sent);
        drop(sender);
        assert!(receiver.read().is_empty() && receiver.is_closed());
    }

    #[test]
    fn lines_may_arrive_in_pieces() {
        let (_sender, mut receiver) = channel().expect("a pipe");
        let mut messages = Vec::new();
        for byte in failed("no \\ such\ntable").to_line().bytes() {
            receiver.feed(&[byte], &mut messages);
        }
        assert_eq!(messages, [failed("no \\ such\ntable")]);
    }

    #[test]
    fn nonsense_and_endless_lines_are_dropped() {
        let (_sender, mut receiver) = channel().expect("a pipe");
        let mut messages = Vec::new();
        receiver.feed(b"hello\nfailed x y\n\xff\n", &mut messages);
        for _ in 0..100 {
            receiver.feed(&[b'x'; 1000], &mut messages);
        }
        assert!(receiver.pending.len() <= MAX_LINE);
        receiver.feed(b"\nready\n", &mut messages);
        assert_eq!(messages, [Message::Ready]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(MAX_TEXT);
        assert_eq!(escape(&text).len(), MAX_TEXT);
    }
}
