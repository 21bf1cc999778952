//! One connection to Redis: one command, one reply, each within its timeout. After any error the connection is dropped,
//! because a late reply would be taken for the reply to the next command.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use redis::{Cmd, Parser, Value};
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{Login, RedisTls};

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("it cannot be reached: {0}")]
    Unreachable(#[source] io::Error),
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("it says {0}")]
    Refused(String),
    #[error("no TLS can be spoken with it: {0}")]
    Tls(String),
    #[error("it refuses the login ({0})")]
    Login(String),
    #[error("what answers is no Redis")]
    Gibberish,
    #[error("it is not the one it was")]
    Replaced,
    /// The connection can still be used.
    #[error("a key is used by somebody else")]
    Foreign,
}

/// A TLS handshake takes longer than a command: it may take this many times the timeout, but more than a second only if
/// the timeout itself is longer.
const HANDSHAKE: u32 = 20;
const HANDSHAKE_AT_MOST: Duration = Duration::from_secs(1);

pub(super) struct RedisConnection {
    stream: RedisSocket,
    parser: Parser,
    /// For each reply.
    timeout: Duration,
}

impl RedisConnection {
    /// Connects and logs in; each step gets `timeout`.
    pub(super) fn open(
        address: &SockAddr,
        login: &Login,
        timeout: Duration,
    ) -> Result<Self, ConnectionError> {
        // To the kernel, zero means no limit.
        let timeout = timeout.max(Duration::from_micros(1));
        let socket = connect(address, timeout).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ConnectionError::Late(timeout),
            _ => ConnectionError::Unreachable(error),
        })?;
        let stream = match &login.tls {
            None => RedisSocket::Plain(socket),
            Some(tls) => {
                let stream = shake_hands(socket, tls, timeout)?;
                limit(&stream.sock, timeout).map_err(ConnectionError::Lost)?;
                RedisSocket::Tls(Box::new(stream))
            }
        };
        let mut connection = Self {
            stream,
            parser: Parser::new(),
            timeout,
        };
        connection.log_in(login)?;
        Ok(connection)
    }

    /// Sets the timeout of later replies.
    pub(super) fn set_timeout(&mut self, timeout: Duration) -> Result<(), ConnectionError> {
        self.timeout = timeout.max(Duration::from_micros(1));
        limit(self.stream.socket(), self.timeout).map_err(ConnectionError::Lost)
    }

    /// Sends a command and returns the reply; an error of Redis is an `Err`.
    pub(super) fn ask(&mut self, question: &Cmd) -> Result<Value, ConnectionError> {
        let timeout = self.timeout;
        self.send(question)?;
        let mut answer = ReplyReader {
            stream: &mut self.stream,
            deadline: Instant::now() + timeout,
            begun: false,
            failure: None,
        };
        let value = self.parser.parse_value(&mut answer);
        if let Some(failure) = answer.failure {
            return Err(lost(failure, timeout));
        }
        match value {
            Ok(Value::ServerError(error)) if error.code() == "WRONGTYPE" => {
                Err(ConnectionError::Foreign)
            }
            Ok(Value::ServerError(error)) => {
                let detail = error.details().unwrap_or_default();
                let text = format!("{} {detail}", error.code());
                Err(ConnectionError::Refused(text.trim_end().to_owned()))
            }
            Ok(value) => Ok(value),
            Err(_) => Err(ConnectionError::Gibberish),
        }
    }

    /// Sends a command without waiting for the reply.
    pub(super) fn send(&mut self, question: &Cmd) -> Result<(), ConnectionError> {
        let sent = self.stream.send(&question.get_packed_command());
        sent.map_err(|error| lost(error, self.timeout))
    }

    /// Whether decrypted bytes wait to be read: poll(2) on the socket does not see them.
    pub(super) fn has_more(&mut self) -> bool {
        match &mut self.stream {
            RedisSocket::Plain(_) => false,
            RedisSocket::Tls(stream) => {
                let state = stream.conn.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
            }
        }
    }

    /// The id that Redis generates at each start.
    pub(super) fn run_id(&mut self) -> Result<String, ConnectionError> {
        let Value::BulkString(info) = self.ask(redis::cmd("INFO").arg("server"))? else {
            return Err(ConnectionError::Gibberish);
        };
        let info = String::from_utf8_lossy(&info);
        let found = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        found.map(str::to_owned).ok_or(ConnectionError::Gibberish)
    }

    fn log_in(&mut self, login: &Login) -> Result<(), ConnectionError> {
        if let Some(password) = &login.password {
            let mut question = redis::cmd("AUTH");
            if let Some(username) = &login.username {
                question.arg(username);
            }
            question.arg(password);
            // Only the code of the error: the text of some servers repeats the command, with the password.
            self.ask(&question).map_err(|error| match error {
                ConnectionError::Refused(text) => ConnectionError::Login(first_word(&text)),
                other => other,
            })?;
        }
        if login.db != 0 {
            self.ask(redis::cmd("SELECT").arg(login.db))?;
        }
        Ok(())
    }
}

/// For messages that Redis pushes without a command.
impl Read for RedisConnection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read(into)
    }
}

impl AsFd for RedisConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.socket().as_fd()
    }
}

impl std::fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisConnection")
            .field("socket", self.stream.socket())
            .finish_non_exhaustive()
    }
}

enum RedisSocket {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl RedisSocket {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

impl Read for RedisSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

/// A Redis without TLS takes a handshake for the beginning of a command, and waits for the rest.
fn silent(timeout: Duration) -> ConnectionError {
    let millis = timeout.as_millis();
    ConnectionError::Tls(format!(
        "no answer to a handshake within {millis} ms; is it a port for TLS (tls-port)?"
    ))
}

fn shake_hands(
    mut socket: Socket,
    tls: &RedisTls,
    timeout: Duration,
) -> Result<StreamOwned<ClientConnection, Socket>, ConnectionError> {
    let timeout = timeout.max((timeout * HANDSHAKE).min(HANDSHAKE_AT_MOST));
    limit(&socket, timeout).map_err(ConnectionError::Lost)?;
    let deadline = Instant::now() + timeout;
    let connection = ClientConnection::new(tls.config.clone(), tls.name.clone());
    let mut connection = connection.map_err(|error| ConnectionError::Tls(error.to_string()))?;
    while connection.is_handshaking() {
        if Instant::now() >= deadline {
            return Err(silent(timeout));
        }
        connection
            .complete_io(&mut socket)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => ConnectionError::Tls(error.to_string()),
                io::ErrorKind::UnexpectedEof => {
                    ConnectionError::Tls("it closes the connection".to_owned())
                }
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => silent(timeout),
                _ => ConnectionError::Lost(error),
            })?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// Reads one reply. The timeout of the socket is per read; the deadline here also holds for a reply that arrives in
/// many parts.
struct ReplyReader<'a> {
    stream: &'a mut RedisSocket,
    deadline: Instant,
    begun: bool,
    /// Why reading failed: the parser does not report the cause.
    failure: Option<io::Error>,
}

impl ReplyReader<'_> {
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.begun, true) && Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    let kind = io::ErrorKind::UnexpectedEof;
                    return Err(io::Error::new(kind, "closed at the other end"));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Read for ReplyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

fn connect(address: &SockAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::from(i32::from(address.family())),
        Type::STREAM,
        None,
    )?;
    socket.connect_timeout(address, timeout)?;
    if !address.is_unix() {
        socket.set_tcp_nodelay(true)?;
    }
    limit(&socket, timeout)?;
    Ok(socket)
}

fn limit(socket: &Socket, timeout: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))
}

fn lost(error: io::Error, timeout: Duration) -> ConnectionError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ConnectionError::Late(timeout),
        _ => ConnectionError::Lost(error),
    }
}

fn first_word(text: &str) -> String {
    text.split(' ').next().unwrap_or_default().to_owned()
}
