//! The connection to a server. Nothing here waits longer than the user wants, also for a server that stands still.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

use super::exit::CtlError;
use crate::control::frame::{Frame, FrameDecoder, append_frame};
use crate::control::request::PROGRESS;

/// A server that lives answers at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts to connect to a server for which too many clients wait.
const RETRY_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct CtlLink {
    stream: UnixStream,
    path: PathBuf,
    decoder: FrameDecoder,
    next_id: u64,
    /// The user's limit.
    timeout: Option<Duration>,
    /// When this began to connect: the limit of the first command starts here.
    begun: Option<Instant>,
}

/// A time limit, and when it is over. Never, if it is beyond what a clock can say.
#[derive(Debug, Clone, Copy)]
struct Limit {
    time: Duration,
    end: Option<Instant>,
}

/// What a link waits with.
pub(super) trait LinkWait {
    /// Returns when `fd` is ready, or at `end`, or earlier. An error ends the command.
    fn wait(
        &mut self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        end: Option<Instant>,
    ) -> Result<(), CtlError>;
}

/// Waits for nothing but the server.
struct ServerWait;

impl CtlLink {
    pub(super) fn connect(path: &Path, timeout: Option<Duration>) -> Result<Self, CtlError> {
        let begun = Instant::now();
        let limit = Limit::new(begun, timeout.unwrap_or(PATIENCE));
        let stream = loop {
            match connect_now(path) {
                Ok(stream) => break stream,
                // The kernel says so without a limit of time if too many clients wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => limit.check()?,
                Err(error) => return Err(no_server(path, &error)),
            }
            sleep(RETRY_EVERY);
        };
        Ok(Self {
            stream,
            path: path.to_owned(),
            decoder: FrameDecoder::of_client(),
            next_id: 1,
            timeout,
            begun: Some(begun),
        })
    }

    /// The process that listens, as the kernel says.
    pub(super) fn server_pid(&self) -> Option<i32> {
        let peer = getsockopt(&self.stream, PeerCredentials).ok()?;
        Some(peer.pid()).filter(|&pid| pid > 0)
    }

    /// Sends a command; returns the data of the answer.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Value, CtlError> {
        self.call_with(words, &mut ServerWait)
    }

    /// The same, for a caller that waits for something else too.
    pub(super) fn call_with(
        &mut self,
        words: &[&str],
        waiting: &mut dyn LinkWait,
    ) -> Result<Value, CtlError> {
        self.ask(words, &[], Some(PATIENCE), waiting, |_| {})
    }

    /// Sends a command that takes its time, and passes on what happens meanwhile.
    pub(super) fn wait(
        &mut self,
        words: &[&str],
        progress: impl FnMut(&str),
    ) -> Result<Value, CtlError> {
        self.ask(words, &[PROGRESS], None, &mut ServerWait, progress)
    }

    fn ask(
        &mut self,
        words: &[&str],
        more: &[&str],
        patience: Option<Duration>,
        waiting: &mut dyn LinkWait,
        mut progress: impl FnMut(&str),
    ) -> Result<Value, CtlError> {
        let begun = self.begun.take().unwrap_or_else(Instant::now);
        let limit = self.timeout.or(patience);
        let limit = limit.map(|time| Limit::new(begun, time));
        let (id, (command, args)) = (self.next_id, words.split_at(1));
        self.next_id += 1;
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        let request = json!({"id": id, "command": command[0], "args": args});
        let mut octets = Vec::new();
        append_frame(request.to_string().as_bytes(), &mut octets);
        self.send(&octets, limit, waiting)?;
        loop {
            let frame = self.frame(limit, waiting)?;
            let text = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
            match frame["status"].as_str() {
                Some("progress") => progress(frame["data"]["text"].as_str().unwrap_or_default()),
                Some("ok") => return Ok(frame["data"].clone()),
                _ => return Err(CtlError::Refused(text("error"))),
            }
        }
    }

    fn send(
        &mut self,
        octets: &[u8],
        limit: Option<Limit>,
        waiting: &mut dyn LinkWait,
    ) -> Result<(), CtlError> {
        let mut rest = octets;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) => self.wait_after(&error, PollFlags::POLLOUT, limit, waiting)?,
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        limit: Option<Limit>,
        waiting: &mut dyn LinkWait,
    ) -> Result<Value, CtlError> {
        let mut octets = [0; 65536];
        loop {
            match self.decoder.next() {
                Some(Frame::Payload(payload)) => {
                    return serde_json::from_slice(&payload).map_err(|_| self.is_foreign());
                }
                Some(_) => return Err(self.is_foreign()),
                None => {}
            }
            match self.stream.read(&mut octets) {
                Ok(0) => {
                    let text =
                        format!("the server at {} has ended or hung up", self.path.display());
                    return Err(CtlError::NoServer(text));
                }
                Ok(count) => self.decoder.feed(&octets[..count]),
                Err(error) => self.wait_after(&error, PollFlags::POLLIN, limit, waiting)?,
            }
        }
    }

    /// Waits if that is what the error of a system call asks for.
    fn wait_after(
        &self,
        error: &std::io::Error,
        flags: PollFlags,
        limit: Option<Limit>,
        waiting: &mut dyn LinkWait,
    ) -> Result<(), CtlError> {
        match error.kind() {
            ErrorKind::WouldBlock => {
                limit.map_or(Ok(()), |it| it.check())?;
                waiting.wait(self.stream.as_fd(), flags, limit.and_then(|it| it.end))
            }
            ErrorKind::Interrupted => Ok(()),
            _ => Err(self.lost(error)),
        }
    }

    fn lost(&self, error: &std::io::Error) -> CtlError {
        CtlError::NoServer(format!(
            "lost the server at {}: {error}",
            self.path.display()
        ))
    }

    fn is_foreign(&self) -> CtlError {
        let path = self.path.display();
        CtlError::NoServer(format!("what answers at {path} is no server of this kind"))
    }
}

impl Limit {
    fn new(begun: Instant, time: Duration) -> Self {
        let end = begun.checked_add(time);
        Self { time, end }
    }

    fn check(&self) -> Result<(), CtlError> {
        match self.end {
            Some(end) if end <= Instant::now() => Err(CtlError::TimedOut(self.time.as_secs_f64())),
            _ => Ok(()),
        }
    }
}

impl LinkWait for ServerWait {
    fn wait(
        &mut self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        end: Option<Instant>,
    ) -> Result<(), CtlError> {
        // Whatever it reports, the next system call finds out.
        let _ = poll(&mut [PollFd::new(fd, flags)], poll_timeout(end));
        Ok(())
    }
}

/// Until `end`, rounded up, or as long as poll(2) can.
pub(super) fn poll_timeout(end: Option<Instant>) -> PollTimeout {
    let Some(end) = end else {
        return PollTimeout::NONE;
    };
    let left = end.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => PollTimeout::ZERO,
        false => PollTimeout::try_from(left.saturating_add(Duration::from_millis(1)))
            .unwrap_or(PollTimeout::MAX),
    }
}

/// Does not wait for a server that accepts nobody.
fn connect_now(path: &Path) -> std::io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

fn no_server(path: &Path, error: &std::io::Error) -> CtlError {
    let advice = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            ": is the server running, and is that its control_socket?"
        }
        ErrorKind::PermissionDenied => ": only the user of the server may use it, and root",
        _ => "",
    };
    CtlError::NoServer(format!("no server at {}: {error}{advice}", path.display()))
}
