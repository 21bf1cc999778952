//! Log lines to a syslog daemon, byte for byte as gunicorn's: RFC 3164's priority, a tag, the process
//! id in brackets, the text, and the NUL that old daemons want at the end.
//!
//! ```text
//!   <11>gunicorn.NAME.error: [4711] text\0
//! ```
//!
//! A daemon that is away or slow costs lines, never time.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Level;
use super::losses::{LossReport, Losses};
use super::wire::{Datagrams, Stream};
use crate::settings::{Settings, SyslogAddress, UnixKind};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) address: SyslogAddress,
    /// RFC 5424 section 6.2.1.
    facility: u8,
    /// What stands between `gunicorn.` and `.error` or `.access` in the tag.
    name: String,
    /// Whether access lines go there too.
    pub(super) access: bool,
}

impl Options {
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let syslog = &settings.syslog;
        // A colon would end the tag.
        let name = || {
            let name = settings
                .proc_name
                .as_ref()
                .or(settings.application.as_ref());
            name.map_or_else(|| "oxicorn".to_owned(), |name| name.replace(':', "."))
        };
        syslog.enabled.then(|| Self {
            address: syslog.address.clone(),
            facility: syslog.facility.number(),
            name: syslog.prefix.clone().unwrap_or_else(name),
            access: !syslog.errors_only,
        })
    }
}

#[derive(Debug)]
pub(super) struct Syslog {
    pub(super) options: Options,
    wire: Wire,
    losses: Losses,
}

#[derive(Debug)]
enum Wire {
    Datagrams(Datagrams),
    Stream(Mutex<Stream>),
    /// A socket file of either kind.
    Either {
        datagrams: Datagrams,
        stream: Mutex<Stream>,
        streams: AtomicBool,
    },
}

impl Syslog {
    /// Finds the daemon's address; whether anybody listens there is not asked.
    pub(super) fn new(options: Options) -> io::Result<Self> {
        let wire = match &options.address {
            SyslogAddress::Udp(host, port) => Wire::Datagrams(Datagrams::udp(host, *port)?),
            SyslogAddress::Tcp(host, port) => Wire::Stream(Mutex::new(Stream::tcp(host, *port)?)),
            SyslogAddress::Unix { path, kind } => match kind {
                UnixKind::Datagram => Wire::Datagrams(Datagrams::unix(path)?),
                UnixKind::Stream => Wire::Stream(Mutex::new(Stream::unix(path)?)),
                UnixKind::Either => Wire::Either {
                    datagrams: Datagrams::unix(path)?,
                    stream: Mutex::new(Stream::unix(path)?),
                    streams: AtomicBool::new(false),
                },
            },
        };
        Ok(Self {
            options,
            wire,
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

    /// Sends what waits, and returns what is to be told of the daemon.
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
        let priority = (self.options.facility << 3) | level.severity();
        let (name, pid) = (&self.options.name, std::process::id());
        let mut record = format!("<{priority}>gunicorn.{name}.{log}: [{pid}] ").into_bytes();
        record.extend_from_slice(text);
        record.push(0);
        record
    }

    fn pass(&self, record: Vec<u8>) -> io::Result<()> {
        match &self.wire {
            Wire::Datagrams(datagrams) => datagrams.send(&record),
            Wire::Stream(stream) => lock(stream).push(record),
            Wire::Either {
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

    fn stream(&self) -> Option<MutexGuard<'_, Stream>> {
        match &self.wire {
            Wire::Datagrams(_) => None,
            Wire::Stream(stream) | Wire::Either { stream, .. } => Some(lock(stream)),
        }
    }
}

fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::*;

    fn options(path: &Path) -> Options {
        Options {
            address: SyslogAddress::Unix {
                path: path.to_owned(),
                kind: UnixKind::Either,
            },
            facility: 16,
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
        let syslog = Syslog::new(options(&path)).expect("an address");
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
    fn a_socket_file_for_streams_is_found_out() {
        let path = socket_file("stream");
        let daemon = UnixListener::bind(&path).expect("a socket");
        let syslog = Syslog::new(options(&path)).expect("an address");
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
    fn a_daemon_that_reads_nothing_is_told_of_and_waited_for_never() {
        let path = socket_file("slow");
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        let syslog = Syslog::new(options(&path)).expect("an address");
        let started = Instant::now();
        (0..5000).for_each(|_| syslog.access(&[b'x'; 1000]));
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(matches!(syslog.tend(), Some(LossReport::Begun { .. })));
        assert_eq!(syslog.tend(), None);
        drop(daemon);
        std::fs::remove_file(path).expect("the end");
    }

    #[test]
    fn the_tag_is_named_after_the_application() {
        let mut settings = Settings::default();
        assert_eq!(Options::of(&settings), None);
        settings.syslog.enabled = true;
        settings.application = Some("wsgi:app".to_owned());
        let name = |settings: &Settings| Options::of(settings).expect("it is on").name;
        assert_eq!(name(&settings), "wsgi.app");
        settings.proc_name = Some("shop".to_owned());
        assert_eq!(name(&settings), "shop");
        settings.syslog.prefix = Some("a:b".to_owned());
        assert_eq!(name(&settings), "a:b");
    }
}
