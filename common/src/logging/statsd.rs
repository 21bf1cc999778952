//! Metrics to a statsd daemon: gunicorn's names and types, several to a datagram where they belong
//! together.
//!
//! ```text
//!   PREFIX.gunicorn.requests:1|c|@1.0|#TAGS
//! ```
//!
//! What is not taken at once is lost: a metric is worth less than the time of a request.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use super::Level;
use super::losses::{LossReport, Losses};
use super::wire::Datagrams;
use crate::settings::{Settings, StatsdAddress};

/// What there is to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) address: StatsdAddress,
    /// Goes before each name, with a dot between.
    prefix: String,
    /// `name:value,name:value`, as DogStatsD has them; empty is none.
    tags: String,
}

impl Options {
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let statsd = &settings.statsd;
        Some(Self {
            address: statsd.address.clone()?,
            prefix: statsd.prefix.clone(),
            tags: statsd.tags.clone(),
        })
    }
}

#[derive(Debug)]
pub(super) struct Statsd {
    pub(super) options: Options,
    wire: Datagrams,
    losses: Losses,
    prefix: String,
    suffix: String,
}

/// Gunicorn's type letters.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Timer,
}

thread_local! {
    /// The datagram in the making, in a buffer that each thread uses again.
    static DATAGRAM: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Statsd {
    pub(super) fn new(options: Options) -> io::Result<Self> {
        let wire = match &options.address {
            StatsdAddress::Udp(host, port) => Datagrams::udp(host, *port)?,
            StatsdAddress::Unix(path) => Datagrams::unix(path)?,
        };
        let prefix = match options.prefix.trim_end_matches('.') {
            "" => String::new(),
            prefix => format!("{prefix}."),
        };
        let suffix = match options.tags.as_str() {
            "" => String::new(),
            tags => format!("|#{tags}"),
        };
        Ok(Self {
            wire,
            losses: Losses::new()?,
            prefix,
            suffix,
            options,
        })
    }

    /// A request has been answered.
    pub(super) fn request(&self, status: u16, duration: Duration) {
        // As gunicorn works it out, down to the last digit.
        let millis = (duration.as_secs() * 1000) as f64 + f64::from(duration.subsec_micros()) / 1e3;
        self.send(|out| {
            let name = format_args!("gunicorn.request.duration");
            self.append(out, name, format_args!("{millis:?}"), Kind::Timer);
            let one = format_args!("1");
            self.append(out, format_args!("gunicorn.requests"), one, Kind::Counter);
            let name = format_args!("gunicorn.request.status.{status}");
            self.append(out, name, one, Kind::Counter);
        });
    }

    /// A record went to the error log; the light ones do not count.
    pub(super) fn record(&self, level: Level, exception: bool) {
        let name = match level {
            Level::Debug | Level::Info => return,
            _ if exception => "exception",
            level => level.name(),
        };
        self.send(|out| {
            let name = format_args!("gunicorn.log.{name}");
            self.append(out, name, format_args!("1"), Kind::Counter);
        });
    }

    pub(super) fn workers(&self, count: usize) {
        self.send(|out| {
            let name = format_args!("gunicorn.workers");
            self.append(out, name, format_args!("{count}"), Kind::Gauge);
        });
    }

    /// Connections that wait to be accepted.
    pub(super) fn backlog(&self, count: u64) {
        self.send(|out| {
            let name = format_args!("gunicorn.backlog");
            self.append(out, name, format_args!("{count}"), Kind::Histogram);
        });
    }

    pub(super) fn report(&self) -> Option<LossReport> {
        self.losses.report()
    }

    fn append(
        &self,
        out: &mut String,
        name: fmt::Arguments<'_>,
        value: fmt::Arguments<'_>,
        kind: Kind,
    ) {
        let kind = match kind {
            Kind::Counter => "c|@1.0",
            Kind::Gauge => "g",
            Kind::Histogram => "h",
            Kind::Timer => "ms",
        };
        let line_feed = if out.is_empty() { "" } else { "\n" };
        let Self { prefix, suffix, .. } = self;
        // Writing into memory cannot fail.
        let _ = write!(out, "{line_feed}{prefix}{name}:{value}|{kind}{suffix}");
    }

    fn send(&self, fill: impl FnOnce(&mut String)) {
        DATAGRAM.with_borrow_mut(|datagram| {
            datagram.clear();
            fill(datagram);
            match self.wire.send(datagram.as_bytes()) {
                Ok(()) => self.losses.note_delivery(),
                Err(reason) => self.losses.note_loss(&reason),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn statsd(prefix: &str, tags: &str) -> (Statsd, UdpSocket) {
        let daemon = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = daemon.local_addr().expect("an address").port();
        let options = Options {
            address: StatsdAddress::Udp("127.0.0.1".to_owned(), port),
            prefix: prefix.to_owned(),
            tags: tags.to_owned(),
        };
        (Statsd::new(options).expect("a socket"), daemon)
    }

    fn next(daemon: &UdpSocket) -> String {
        let mut datagram = [0; 1024];
        let count = daemon.recv(&mut datagram).expect("a datagram");
        String::from_utf8_lossy(&datagram[..count]).into_owned()
    }

    #[test]
    fn the_metrics_of_a_request_are_one_datagram() {
        let (statsd, daemon) = statsd("app..", "");
        statsd.request(200, Duration::new(1, 234_567_999));
        assert_eq!(
            next(&daemon),
            "app.gunicorn.request.duration:1234.567|ms\n\
             app.gunicorn.requests:1|c|@1.0\n\
             app.gunicorn.request.status.200:1|c|@1.0"
        );
        statsd.request(404, Duration::from_millis(12));
        assert!(next(&daemon).starts_with("app.gunicorn.request.duration:12.0|ms\n"));
    }

    #[test]
    fn tags_stand_behind_every_metric() {
        let (statsd, daemon) = statsd("", "env:test,zone:a");
        statsd.record(Level::Info, false);
        statsd.record(Level::Error, true);
        statsd.record(Level::Warning, false);
        statsd.workers(4);
        statsd.backlog(7);
        for expected in [
            "gunicorn.log.exception:1|c|@1.0|#env:test,zone:a",
            "gunicorn.log.warning:1|c|@1.0|#env:test,zone:a",
            "gunicorn.workers:4|g|#env:test,zone:a",
            "gunicorn.backlog:7|h|#env:test,zone:a",
        ] {
            assert_eq!(next(&daemon), expected);
        }
    }
}
