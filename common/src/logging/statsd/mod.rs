//! Sends metrics to a statsd daemon, with gunicorn's names and types. Those of one request share a datagram.
//!
//! ```text
//!   PREFIX.gunicorn.requests:1|c|@1.0|#TAGS
//! ```
//!
//! A datagram that the system does not take at once is lost: a metric is worth less than a request's time.

mod address;

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use super::level::Level;
use super::losses::{LossReport, Losses};
use super::senders::DatagramSender;

pub use address::StatsdAddress;

/// Where metrics go, and how they are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsdOptions {
    pub address: StatsdAddress,
    /// Put before each name, with a dot between.
    pub prefix: String,
    /// `name:value,name:value`, as DogStatsD has them; empty is none.
    pub tags: String,
}

#[derive(Debug)]
pub(super) struct StatsdClient {
    pub(super) options: StatsdOptions,
    sender: DatagramSender,
    losses: Losses,
    prefix: String,
    suffix: String,
}

#[derive(Debug, Clone, Copy)]
enum MetricType {
    Counter,
    Gauge,
    Histogram,
    Timer,
}

thread_local! {
    /// The datagram that is being made, in a buffer that each thread uses again.
    static DATAGRAM: RefCell<String> = const { RefCell::new(String::new()) };
}

impl StatsdClient {
    pub(super) fn new(options: StatsdOptions) -> io::Result<Self> {
        let sender = match &options.address {
            StatsdAddress::Udp(place) => DatagramSender::udp(place)?,
            StatsdAddress::Unix(path) => DatagramSender::unix(path)?,
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
            sender,
            losses: Losses::new()?,
            prefix,
            suffix,
            options,
        })
    }

    /// A request has been answered.
    pub(super) fn request(&self, status: u16, duration: Duration) {
        // As gunicorn computes it, down to the last digit.
        let millis = (duration.as_secs() * 1000) as f64 + f64::from(duration.subsec_micros()) / 1e3;
        self.send(|out| {
            let name = format_args!("gunicorn.request.duration");
            self.append(out, name, format_args!("{millis:?}"), MetricType::Timer);
            let one = format_args!("1");
            self.append(
                out,
                format_args!("gunicorn.requests"),
                one,
                MetricType::Counter,
            );
            let name = format_args!("gunicorn.request.status.{status}");
            self.append(out, name, one, MetricType::Counter);
        });
    }

    /// A record went to the error log; those below a warning are not counted.
    pub(super) fn record(&self, level: Level, exception: bool) {
        let name = match level {
            Level::Debug | Level::Info => return,
            _ if exception => "exception",
            level => level.name(),
        };
        self.send(|out| {
            let name = format_args!("gunicorn.log.{name}");
            self.append(out, name, format_args!("1"), MetricType::Counter);
        });
    }

    pub(super) fn workers(&self, count: usize) {
        self.send(|out| {
            let name = format_args!("gunicorn.workers");
            self.append(out, name, format_args!("{count}"), MetricType::Gauge);
        });
    }

    /// Connections that wait to be accepted.
    pub(super) fn backlog(&self, count: u64) {
        self.send(|out| {
            let name = format_args!("gunicorn.backlog");
            self.append(out, name, format_args!("{count}"), MetricType::Histogram);
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
        kind: MetricType,
    ) {
        let kind = match kind {
            MetricType::Counter => "c|@1.0",
            MetricType::Gauge => "g",
            MetricType::Histogram => "h",
            MetricType::Timer => "ms",
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
            match self.sender.send(datagram.as_bytes()) {
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

    fn statsd(prefix: &str, tags: &str) -> (StatsdClient, UdpSocket) {
        let daemon = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = daemon.local_addr().expect("an address").port();
        let options = StatsdOptions {
            address: StatsdAddress::parse(&format!("127.0.0.1:{port}")).expect("an address"),
            prefix: prefix.to_owned(),
            tags: tags.to_owned(),
        };
        (StatsdClient::new(options).expect("a socket"), daemon)
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
    fn tags_follow_every_metric() {
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
