//! [`RespConnection`]: a connection to Redis for one script, with a deadline for everything.
//!
//! It speaks the little of the protocol (RESP2) that this needs. The crate `redis` 1.8, without features, would bring 33 others
//! (ICU by way of `url`) into a wheel that has 67, and connects to Unix sockets without a time limit.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use oxicorn_common::settings::RedisUrl;
use socket2::{Domain, SockAddr, Socket, Type};

/// A reply of the script is far shorter.
const LONGEST_TEXT: usize = 64 * 1024;
const MOST_ITEMS: usize = 4096;

/// Where to connect; names are looked up elsewhere, as that may take long.
#[derive(Debug, Clone)]
pub(super) enum RespAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RespFailure {
    #[error("it does not answer in time")]
    Late,
    #[error("{0}")]
    Broken(#[source] io::Error),
    /// What Redis says, such as `NOAUTH Authentication required.`
    #[error("it says: {0}")]
    Refused(String),
    #[error("its answer makes no sense")]
    Nonsense,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum RespReply {
    Text(Vec<u8>),
    Number(i64),
    Nothing,
    List(Vec<RespReply>),
}

#[derive(Debug)]
pub(super) struct RespConnection {
    stream: RespStream,
    unread: Vec<u8>,
    timeout: Duration,
}

#[derive(Debug)]
enum RespStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<io::Error> for RespFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Broken(error),
        }
    }
}

impl RespConnection {
    /// Connects and logs in; each step takes `timeout` at most.
    pub(super) fn open(
        address: &RespAddress,
        url: &RedisUrl,
        timeout: Duration,
    ) -> Result<Self, RespFailure> {
        let stream = match address {
            RespAddress::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(timeout))?;
                RespStream::Tcp(stream)
            }
            RespAddress::Unix(path) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
                // It holds for connect(2), too: the backlog of a process that is stopped may be full.
                socket.set_write_timeout(Some(timeout))?;
                socket.connect(&SockAddr::unix(path)?)?;
                RespStream::Unix(socket.into())
            }
        };
        let mut connection = Self {
            stream,
            unread: Vec::new(),
            timeout,
        };
        if let Some(password) = &url.password {
            let mut words = vec![&b"AUTH"[..]];
            words.extend(url.user.as_ref().map(|it| it.as_bytes()));
            words.push(password.as_bytes());
            connection.ask(&words)?;
        }
        if url.database != 0 {
            connection.ask(&[b"SELECT", url.database.to_string().as_bytes()])?;
        }
        Ok(connection)
    }

    /// Sends a command and waits for its reply. After a failure other than [`RespFailure::Refused`] the connection is of no
    /// use any more.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Result<RespReply, RespFailure> {
        let deadline = Instant::now() + self.timeout;
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        match &mut self.stream {
            RespStream::Tcp(stream) => stream.write_all(&command)?,
            RespStream::Unix(stream) => stream.write_all(&command)?,
        }
        self.reply(deadline, 0)
    }

    fn reply(&mut self, deadline: Instant, depth: usize) -> Result<RespReply, RespFailure> {
        let line = self.line(deadline)?;
        let (kind, text) = line.split_first().ok_or(RespFailure::Nonsense)?;
        let number = || {
            let text = std::str::from_utf8(text).ok();
            let number = text.and_then(|it| it.parse::<i64>().ok());
            number.ok_or(RespFailure::Nonsense)
        };
        let length = |most: usize| match number()? {
            -1 => Ok(None),
            count => match usize::try_from(count) {
                Ok(count) if count <= most => Ok(Some(count)),
                _ => Err(RespFailure::Nonsense),
            },
        };
        match kind {
            b'+' => Ok(RespReply::Text(text.to_vec())),
            b'-' => Err(RespFailure::Refused(
                String::from_utf8_lossy(text).escape_debug().to_string(),
            )),
            b':' => Ok(RespReply::Number(number()?)),
            b'$' => match length(LONGEST_TEXT)? {
                None => Ok(RespReply::Nothing),
                Some(length) => {
                    let mut text = self.take(length + 2, deadline)?;
                    text.truncate(length);
                    Ok(RespReply::Text(text))
                }
            },
            b'*' if depth == 0 => match length(MOST_ITEMS)? {
                None => Ok(RespReply::Nothing),
                Some(count) => {
                    let items = (0..count).map(|_| self.reply(deadline, depth + 1));
                    Ok(RespReply::List(items.collect::<Result<_, _>>()?))
                }
            },
            _ => Err(RespFailure::Nonsense),
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, RespFailure> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|it| it == b"\r\n") {
                let mut line: Vec<u8> = self.unread.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.unread.len() > LONGEST_TEXT {
                return Err(RespFailure::Nonsense);
            }
            self.read(deadline)?;
        }
    }

    fn take(&mut self, count: usize, deadline: Instant) -> Result<Vec<u8>, RespFailure> {
        while self.unread.len() < count {
            self.read(deadline)?;
        }
        Ok(self.unread.drain(..count).collect())
    }

    fn read(&mut self, deadline: Instant) -> Result<(), RespFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RespFailure::Late);
        }
        let mut buffer = [0; 4096];
        let count = match &mut self.stream {
            RespStream::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(&mut buffer)
            }
            RespStream::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(&mut buffer)
            }
        };
        match count {
            Ok(0) => Err(RespFailure::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
