//! A client of the control socket that speaks the protocol by hand.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::{Server, TIMEOUT};

/// The place without a setting, below the directory of the server.
pub(crate) const PLACE: &str = ".gunicorn/gunicorn.ctl";

/// One connection.
#[derive(Debug)]
pub(crate) struct Controller {
    stream: UnixStream,
}

impl Controller {
    /// Connects to the socket of `server`.
    pub(crate) fn of(server: &Server) -> Self {
        Self::connect(&server.dir().join(PLACE)).expect("the control socket listens")
    }

    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream })
    }

    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    pub(crate) fn send_frame(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a length");
        self.send(&length.to_be_bytes())?;
        self.send(payload)
    }

    /// Sends the same frame again and again, up to so many octets, or until the server has taken nothing for a while. Returns
    /// how many it has taken. The last frame may be cut.
    pub(crate) fn flood(&mut self, payload: &[u8], most: usize) -> usize {
        let length = u32::try_from(payload.len()).expect("a length");
        let frame = [&length.to_be_bytes(), payload].concat().repeat(100);
        let pause = std::time::Duration::from_secs(2);
        self.stream
            .set_write_timeout(Some(pause))
            .expect("a socket");
        let mut sent = 0;
        while sent < most {
            let rest = &frame[sent % frame.len()..];
            match self.stream.write(rest) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        sent
    }

    pub(crate) fn ask(&mut self, command: &str, args: &[&str]) -> io::Result<()> {
        let request = json!({"id": command, "command": command, "args": args});
        self.send_frame(request.to_string().as_bytes())
    }

    /// No more requests will come.
    pub(crate) fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> io::Result<Value> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).expect("a length");
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok(serde_json::from_slice(&payload)?)
    }

    /// What is left until the server closes the connection.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// The data of the answer, or the error in it.
    pub(crate) fn call(&mut self, command: &str) -> Result<Value, String> {
        self.call_with(command, &[])
    }

    pub(crate) fn call_with(&mut self, command: &str, args: &[&str]) -> Result<Value, String> {
        self.ask(command, args).expect("the server reads");
        let frame = self.frame().expect("the server answers");
        assert_eq!(frame["id"], *command, "the id comes back");
        match frame["status"].as_str() {
            Some("ok") => Ok(frame["data"].clone()),
            Some("error") => Err(frame["error"].as_str().expect("a text").to_owned()),
            _ => panic!("no answer: {frame}"),
        }
    }
}
