//! The connection to a server.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::exit::CtlError;
use crate::control::frame::{Frame, FrameDecoder, append_frame};
use crate::control::request::PROGRESS;

/// A server that lives answers at once.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct CtlLink {
    stream: UnixStream,
    path: PathBuf,
    decoder: FrameDecoder,
    next_id: u64,
    /// The user's limit.
    timeout: Option<Duration>,
}

impl CtlLink {
    pub(super) fn connect(path: &Path, timeout: Option<f64>) -> Result<Self, CtlError> {
        let stream = UnixStream::connect(path).map_err(|error| {
            let advice = match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    ": is the server running, and is that its control_socket?"
                }
                ErrorKind::PermissionDenied => ": only the user of the server may use it, and root",
                _ => "",
            };
            CtlError::NoServer(format!("no server at {}: {error}{advice}", path.display()))
        })?;
        Ok(Self {
            stream,
            path: path.to_owned(),
            decoder: FrameDecoder::of_client(),
            next_id: 1,
            timeout: timeout.map(Duration::from_secs_f64),
        })
    }

    /// Sends a command; returns the data of the answer.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Value, CtlError> {
        self.ask(words, &[], Some(PATIENCE), |_| {})
    }

    /// Sends a command that takes its time, and passes on what happens meanwhile.
    pub(super) fn wait(
        &mut self,
        words: &[&str],
        progress: impl FnMut(&str),
    ) -> Result<Value, CtlError> {
        self.ask(words, &[PROGRESS], None, progress)
    }

    fn ask(
        &mut self,
        words: &[&str],
        more: &[&str],
        patience: Option<Duration>,
        mut progress: impl FnMut(&str),
    ) -> Result<Value, CtlError> {
        let limit = self.timeout.or(patience);
        let deadline = limit.map(|limit| (Instant::now() + limit, limit));
        let (id, (command, args)) = (self.next_id, words.split_at(1));
        self.next_id += 1;
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        let request = json!({"id": id, "command": command[0], "args": args});
        let mut octets = Vec::new();
        append_frame(request.to_string().as_bytes(), &mut octets);
        self.stream
            .write_all(&octets)
            .map_err(|it| self.lost(&it))?;
        loop {
            let frame = self.frame(deadline)?;
            let text = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
            match frame["status"].as_str() {
                Some("progress") => progress(frame["data"]["text"].as_str().unwrap_or_default()),
                Some("ok") => return Ok(frame["data"].clone()),
                _ => return Err(CtlError::Refused(text("error"))),
            }
        }
    }

    fn frame(&mut self, deadline: Option<(Instant, Duration)>) -> Result<Value, CtlError> {
        let mut octets = [0; 65536];
        loop {
            match self.decoder.next() {
                Some(Frame::Payload(payload)) => {
                    return serde_json::from_slice(&payload).map_err(|_| self.is_foreign());
                }
                Some(_) => return Err(self.is_foreign()),
                None => {}
            }
            let left = deadline.map(|(at, limit)| {
                let left = at.saturating_duration_since(Instant::now());
                let timed_out = CtlError::TimedOut(limit.as_secs_f64());
                if left.is_zero() {
                    Err(timed_out)
                } else {
                    Ok(left)
                }
            });
            let left = left.transpose()?;
            self.stream
                .set_read_timeout(left)
                .map_err(|it| self.lost(&it))?;
            match self.stream.read(&mut octets) {
                Ok(0) => {
                    let text =
                        format!("the server at {} has ended or hung up", self.path.display());
                    return Err(CtlError::NoServer(text));
                }
                Ok(count) => self.decoder.feed(&octets[..count]),
                Err(error) => match error.kind() {
                    // The deadline is looked at again.
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Err(self.lost(&error)),
                },
            }
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
