//! A client that speaks raw HTTP/1.1, also over TLS, and hides nothing: every error of the socket is returned.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::{Answer, TIMEOUT};

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    unread: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, TIMEOUT)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream: Stream::Tcp(stream),
            unread: Vec::new(),
        })
    }

    /// Connects with such a small receive buffer that the kernel acknowledges in small steps.
    pub(crate) fn connect_narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&address.into())?;
        Self::over(socket.into())
    }

    /// Connects; the handshake comes with the first bytes that are sent.
    pub(crate) fn connect_tls(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect(address)?.over_tls(tls)
    }

    /// Continues over TLS.
    pub(crate) fn over_tls(self, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let Stream::Tcp(socket) = self.stream else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Self {
            stream: Stream::Tls(Box::new(StreamOwned::new(session, socket))),
            unread: self.unread,
        })
    }

    /// The TLS connection, which knows the negotiated parameters.
    pub(crate) fn session(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(stream) => &stream.conn,
            _ => panic!("no TLS"),
        }
    }

    pub(crate) fn connect_unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream: Stream::Unix(stream),
            unread: Vec::new(),
        })
    }

    /// Sends a GET and reads the answer.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
        self.answer()
    }

    /// Sends a request with a body and reads the answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = body.len();
        let mut bytes = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n{fields}\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes)?;
        self.answer_to(method)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes),
        }
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        self.answer_to("GET")
    }

    /// Reads the final response to a request of that method, and skips interim ones.
    ///
    /// `UnexpectedEof` means that the connection was closed before the first byte, `InvalidData` that it was closed
    /// later or that the answer is not HTTP.
    pub(crate) fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let answer = self.any_answer_to(method)?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    /// As [`Client::answer_to`], but interim responses count.
    pub(crate) fn any_answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                let kind = match self.unread.is_empty() {
                    true => io::ErrorKind::UnexpectedEof,
                    false => io::ErrorKind::InvalidData,
                };
                return Err(io::Error::new(kind, "closed before the end of the head"));
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let mut answer = std::str::from_utf8(&head)
            .ok()
            .and_then(Answer::from_head)
            .ok_or_else(|| broken(&format!("no head: {}", head.escape_ascii())))?;
        // Every response has a date (RFC 9110 section 6.6.1).
        let date = answer.field("Date").map(httpdate::parse_http_date);
        if answer.status >= 200 && !matches!(date, Some(Ok(_))) {
            return Err(broken(&format!("no date: {}", head.escape_ascii())));
        }
        if method != "HEAD" && !matches!(answer.status, 100..200 | 204 | 304) {
            answer.body = self.body_of(&answer)?;
        }
        Ok(answer)
    }

    fn body_of(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if let Some(length) = answer.field("Content-Length") {
            let length = length.parse().map_err(|_| broken("bad Content-Length"))?;
            return self.take(length);
        }
        if answer.field("Transfer-Encoding").is_none() {
            return self.rest();
        }
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| broken("bad chunk size"))?;
            body.extend(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(broken("no end of line after a chunk"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads exactly `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            if self.fill()? == 0 {
                return Err(broken("closed in the middle of a body"));
            }
        }
        Ok(self.unread.drain(..count).collect())
    }

    /// Reads up to `count` bytes that have arrived, and keeps them for later.
    pub(crate) fn sip(&mut self, count: usize) -> io::Result<()> {
        match self.fill_with(count)? {
            0 => Err(broken("closed while it was read slowly")),
            _ => Ok(()),
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Shuts down the sending side: no more requests follow.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()
            }
        }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        let outcome = match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Tls(stream) => stream.sock.set_read_timeout(Some(timeout)),
        };
        outcome.expect("a socket takes a timeout");
    }

    fn line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                break at;
            }
            if self.fill()? == 0 {
                return Err(broken("closed in the middle of a chunk size"));
            }
        };
        let line = self.unread.drain(..end + 2).take(end).collect();
        String::from_utf8(line).map_err(|_| broken("no text"))
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.fill_with(16 * 1024)
    }

    fn fill_with(&mut self, most: usize) -> io::Result<usize> {
        let mut piece = vec![0; most];
        let count = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut piece)?,
            Stream::Unix(stream) => stream.read(&mut piece)?,
            Stream::Tls(stream) => stream.read(&mut piece)?,
        };
        self.unread.extend_from_slice(&piece[..count]);
        Ok(count)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
