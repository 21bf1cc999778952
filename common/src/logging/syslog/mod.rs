//! Sends log lines to a syslog daemon, byte for byte as gunicorn does: the priority of RFC 3164, a tag, the
//! process id in brackets, the text, and the NUL that old daemons expect at the end.
//!
//! ```text
//!   <11>gunicorn.NAME.error: [4711] text\0
//! ```
//!
//! A daemon that is away or slow costs lines, but never time.

mod address;
mod facility;

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::level::Level;
use super::losses::{LossReport, Losses};
use super::senders::{DatagramSender, StreamSender};

pub use address::{SyslogAddress, UnixSocketKind};
pub use facility::SyslogFacility;

/// Where lines go, and how they are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogOptions {
    pub address: SyslogAddress,
    pub facility: SyslogFacility,
    /// What the tag has between `gunicorn.` and `.error` or `.access`.
    pub name: String,
    /// Whether access lines go there too.
    pub access: bool,
}

#[derive(Debug)]
pub(super) struct SyslogClient {
    pub(super) options: SyslogOptions,
    socket: SyslogSocket,
    losses: Losses,
}

#[derive(Debug)]
enum SyslogSocket {
    Datagrams(DatagramSender),
    Stream(Mutex<StreamSender>),
    /// A socket file of either kind: datagrams, until one is refused.
    Either {
        datagrams: DatagramSender,
        stream: Mutex<StreamSender>,
        streams: AtomicBool,
    },
}

impl SyslogClient {
    /// Finds the daemon's address, but does not ask whether anybody listens there.
    pub(super) fn new(options: SyslogOptions) -> io::Result<Self> {
        let socket = match &options.address {
            SyslogAddress::Udp(place) => SyslogSocket::Datagrams(DatagramSender::udp(place)?),
            SyslogAddress::Tcp(place) => {
                SyslogSocket::Stream(Mutex::new(StreamSender::tcp(place)?))
            }
            SyslogAddress::Unix { path, kind } => match kind {
                UnixSocketKind::Datagram => SyslogSocket::Datagrams(DatagramSender::unix(path)?),
                UnixSocketKind::Stream => {
                    SyslogSocket::Stream(Mutex::new(StreamSender::unix(path)?))
                }
                UnixSocketKind::Either => SyslogSocket::Either {
                    datagrams: DatagramSender::unix(path)?,
                    stream: Mutex::new(StreamSender::unix(path)?),
                    streams: AtomicBool::new(false),
                },
            },
        };
        Ok(Self {
            options,
            socket,
            losses: Losses::new()?,
        })
    }

    pub(super) fn error(&self, level: Level, text: &str) {
        self.send("error", level, text.as_bytes());
    }

    /// `line` is without its line feed.
    pub(super) fn access(&self, line: &[u8]) {
        self.send("access", Level::Info, line);
    }

    /// Sends lines that wait. Returns what this process has to report about the daemon.
    pub(super) fn tend(&self) -> Option<LossReport> {
        if let Some(mut stream) = self.stream() {
            stream.pump();
            if stream.is_well() {
                self.losses.note_delivery();
            }
        }
        self.losses.report()
    }

    /// Whether lines wait for the daemon.
    pub(super) fn is_waiting(&self) -> bool {
        self.stream().is_some_and(|stream| stream.is_waiting())
    }

    /// Before the process ends.
    pub(super) fn drain(&self, deadline: Instant) {
        if let Some(mut stream) = self.stream() {
            stream.drain(deadline);
        }
    }

    fn send(&self, log: &str, level: Level, text: &[u8]) {
        let record = self.record(log, level, text);
        match self.pass(record) {
            Ok(()) => self.losses.note_delivery(),
            Err(reason) => self.losses.note_loss(&reason),
        }
    }

    fn record(&self, log: &str, level: Level, text: &[u8]) -> Vec<u8> {
        let priority = (self.options.facility.number() << 3) | level.severity();
        let (name, pid) = (&self.options.name, std::process::id());
        let mut record = format!("<{priority}>gunicorn.{name}.{log}: [{pid}] ").into_bytes();
        record.extend_from_slice(text);
        record.push(0);
        record
    }

    fn pass(&self, record: Vec<u8>) -> io::Result<()> {
        match &self.socket {
            SyslogSocket::Datagrams(datagrams) => datagrams.send(&record),
            SyslogSocket::Stream(stream) => lock(stream).push(record),
            SyslogSocket::Either {
                datagrams,
                stream,
                streams,
            } => {
                if !streams.load(Ordering::Relaxed) {
                    match datagrams.send(&record) {
                        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                            streams.store(true, Ordering::Relaxed);
                        }
                        outcome => return outcome,
                    }
                }
                lock(stream).push(record)
            }
        }
    }

    /// The descriptor of a connection to the daemon.
    pub(super) fn connection(&self) -> Option<RawFd> {
        self.stream()?.descriptor()
    }

    fn stream(&self) -> Option<MutexGuard<'_, StreamSender>> {
        match &self.socket {
            SyslogSocket::Datagrams(_) => None,
            SyslogSocket::Stream(stream) | SyslogSocket::Either { stream, .. } => {
                Some(lock(stream))
            }
        }
    }
}

fn lock(stream: &Mutex<StreamSender>) -> MutexGuard<'_, StreamSender> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::*;

    fn options(path: &Path) -> SyslogOptions {
        SyslogOptions {
            address: SyslogAddress::Unix {
                path: path.to_owned(),
                kind: UnixSocketKind::Either,
            },
            facility: SyslogFacility::parse("local0").expect("a facility"),
            name: "wsgi.app".to_owned(),
            access: true,
        }
    }

    fn socket_file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("oxicorn-syslog-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_datagram_is_gunicorns_to_the_byte() {
        let path = socket_file("datagram");
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        let syslog = SyslogClient::new(options(&path)).expect("an address");
        syslog.error(Level::Warning, "two\nlines");
        syslog.access(b"GET /");
        let next = || {
            let mut datagram = vec![0; 1024];
            let count = daemon.recv(&mut datagram).expect("a datagram");
            String::from_utf8_lossy(&datagram[..count]).into_owned()
        };
        let pid = std::process::id();
        let expected = format!("<132>gunicorn.wsgi.app.error: [{pid}] two\nlines\0");
        assert_eq!(next(), expected);
        assert_eq!(
            next(),
            format!("<134>gunicorn.wsgi.app.access: [{pid}] GET /\0")
        );
        std::fs::remove_file(path).expect("the end");
    }

    #[test]
    fn a_socket_file_for_streams_is_recognised() {
        let path = socket_file("stream");
        let daemon = UnixListener::bind(&path).expect("a socket");
        let syslog = SyslogClient::new(options(&path)).expect("an address");
        syslog.error(Level::Critical, "x");
        syslog.drain(Instant::now() + Duration::from_secs(5));
        let mut got = [0; 64];
        let mut connection = daemon.accept().expect("a connection").0;
        let count = connection.read(&mut got).expect("a record");
        assert!(
            got.starts_with(b"<130>gunicorn.wsgi.app.error: ["),
            "{got:?}"
        );
        assert_eq!(got[count - 3..count], *b" x\0");
        std::fs::remove_file(path).expect("the end");
    }

    #[test]
    fn a_daemon_that_reads_nothing_is_reported_and_nobody_waits_for_it() {
        let path = socket_file("slow");
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        let syslog = SyslogClient::new(options(&path)).expect("an address");
        let started = Instant::now();
        (0..5000).for_each(|_| syslog.access(&[b'x'; 1000]));
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(matches!(syslog.tend(), Some(LossReport::Begun { .. })));
        assert_eq!(syslog.tend(), None);
        drop(daemon);
        std::fs::remove_file(path).expect("the end");
    }
}
