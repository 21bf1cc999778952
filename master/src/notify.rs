//! Notifies systemd of the state of the server (`Type=notify-reload`, sd_notify(3)): datagrams to the socket that
//! NOTIFY_SOCKET names. Without that variable nothing is sent.
//!
//! Only the main process may send. During an upgrade that is the old master; it names the new one when it begins to end.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::service_watchdog::{self, ServiceWatchdog};
use crate::sys;

/// Added to the time that the server needs at most, so that a busy machine is no reason to kill it.
const MARGIN: Duration = Duration::from_secs(10);

/// The time until another attempt to send what has found no room.
const RETRY: Duration = Duration::from_millis(100);
/// No more messages wait for room than this.
const MOST_UNSENT: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Notifier {
    receiver: Option<Receiver>,
    watchdog: Option<ServiceWatchdog>,
    /// The old master is still the main process.
    waits: bool,
    /// What `systemctl status` is to show.
    status: String,
    /// What it shows.
    shown: String,
    /// Messages that have found no room, in order. systemd acts on each of them.
    unsent: VecDeque<String>,
    /// A failure has been logged.
    complained: bool,
}

/// The socket of systemd, and ours. It is opened at the start: later there may be no descriptor left.
#[derive(Debug)]
struct Receiver {
    address: SocketAddr,
    socket: UnixDatagram,
}

impl Receiver {
    /// A path, or `@` and a name in the abstract namespace (unix(7)).
    fn open(name: &str) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name),
            [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        // The master never waits for the receiver.
        socket.set_nonblocking(true)?;
        Ok(Self {
            address: address?,
            socket,
        })
    }
}

impl Notifier {
    /// Removes the variables from the environment, so that only the master notifies. A master that `waits` for the end
    /// of the old one sends nothing before that.
    pub(crate) fn take(environment: &BTreeMap<String, String>, waits: bool) -> Self {
        sys::remove_variable("NOTIFY_SOCKET");
        let notifier = environment.get("NOTIFY_SOCKET").map(|name| Self::to(name));
        let watchdog = ServiceWatchdog::of(environment, std::process::id(), Instant::now());
        service_watchdog::VARIABLES
            .into_iter()
            .for_each(sys::remove_variable);
        Self {
            waits,
            watchdog,
            ..notifier.unwrap_or_default()
        }
    }

    fn to(name: &str) -> Self {
        let receiver = Receiver::open(name);
        if let Err(error) = &receiver {
            log::warn!("NOTIFY_SOCKET {name:?} cannot be used: {error}; systemd hears nothing");
        }
        Self {
            receiver: receiver.ok(),
            ..Self::default()
        }
    }

    /// Whether anybody listens.
    pub(crate) fn is_on(&self) -> bool {
        self.receiver.is_some() && !self.waits
    }

    /// This is the main process from now on.
    pub(crate) fn promoted(&mut self) {
        self.waits = false;
        self.ready();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.begin(Instant::now());
        }
    }

    /// The server serves, for the first time or after a reload, whether that has changed anything or failed.
    pub(crate) fn ready(&mut self) {
        let pid = std::process::id();
        self.send_with_status(&format!("READY=1\nMAINPID={pid}\n"));
    }

    /// Sends the status if it has changed.
    pub(crate) fn show(&mut self, status: &str) {
        self.keep(status);
        // The messages that wait have it, or it follows them.
        if self.status != self.shown && self.unsent.is_empty() {
            self.send_with_status("");
        }
    }

    /// Keeps a status for the next message.
    pub(crate) fn keep(&mut self, status: &str) {
        // A line is an assignment.
        self.status = status.replace(['\n', '\r'], " ");
    }

    /// A reload begins. systemd takes the message for the reload that it asked for only if the time is later.
    pub(crate) fn reloading(&mut self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let micros = now.unwrap_or_default().as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// This process ends within `longest`, and the server continues in another one, which cannot send before.
    pub(crate) fn handed_over_to(&mut self, pid: i32, longest: Duration) {
        let extension = extension(longest);
        self.send(&format!("MAINPID={pid}\n{extension}"));
    }

    /// The server ends, within `longest` whatever `TimeoutStopSec=` says.
    pub(crate) fn stopping(&mut self, longest: Duration) {
        let extension = extension(longest);
        self.send_with_status(&format!("STOPPING=1\n{extension}"));
    }

    /// The server may take `longest` for its present step.
    pub(crate) fn extend(&mut self, longest: Duration) {
        self.send(&extension(longest));
    }

    /// Says that the master's loop turns, if that is due, and sends again what has found no room.
    pub(crate) fn keep_alive(&mut self, now: Instant) {
        if !self.is_on() {
            return;
        }
        while let Some(text) = self.unsent.pop_front() {
            if !self.try_to_send(&text) {
                self.unsent.push_front(text);
                return;
            }
        }
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.is_due(now)
        {
            self.send("WATCHDOG=1\n");
        }
    }

    /// When [`Notifier::keep_alive`] must be called next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let watchdog = self.watchdog.as_ref().filter(|_| self.is_on());
        match self.unsent.is_empty() {
            true => watchdog.map(ServiceWatchdog::deadline),
            false => Some(Instant::now() + RETRY),
        }
    }

    fn send_with_status(&mut self, text: &str) {
        self.send(&format!("{text}STATUS={}\n", self.status));
        self.shown.clone_from(&self.status);
    }

    fn send(&mut self, text: &str) {
        if !self.is_on() || (self.unsent.is_empty() && self.try_to_send(text)) {
            return;
        }
        self.unsent.push_back(text.to_owned());
        // The latest state counts.
        if self.unsent.len() > MOST_UNSENT {
            self.unsent.pop_front();
        }
    }

    /// False if the receiver has no room: then the message must be sent again.
    fn try_to_send(&mut self, text: &str) -> bool {
        let Some(Receiver { address, socket }) = &self.receiver else {
            return true;
        };
        let Err(error) = socket.send_to_addr(text.as_bytes(), address) else {
            self.complained = false;
            return true;
        };
        let is_full = matches!(
            error.raw_os_error(),
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)
        );
        if !std::mem::replace(&mut self.complained, true) {
            let follows = if is_full { "; trying again" } else { "" };
            log::warn!("cannot notify systemd: {error}{follows}");
        }
        !is_full
    }
}

/// The assignment that gives the service more time in its present state, the watchdog's included.
fn extension(longest: Duration) -> String {
    let micros = (longest + MARGIN).as_micros();
    format!("EXTEND_TIMEOUT_USEC={micros}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut text = [0; 300];
        let length = socket.recv(&mut text).expect("a datagram");
        String::from_utf8_lossy(&text[..length]).into_owned()
    }

    #[test]
    fn both_kinds_of_socket_are_notified() {
        let name = format!("oxicorn-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let file = UnixDatagram::bind(&path).expect("a socket");
        let hidden = SocketAddr::from_abstract_name(&name).expect("a name");
        let hidden = UnixDatagram::bind_addr(&hidden).expect("a socket");
        let spellings = [path.display().to_string(), format!("@{name}")];
        for (spelling, socket) in spellings.into_iter().zip([file, hidden]) {
            let mut notifier = Notifier::to(&spelling);
            notifier.show("a\nb");
            assert_eq!(hear(&socket), "STATUS=a b\n");
            notifier.show("a b");
            notifier.ready();
            let pid = std::process::id();
            let ready = format!("READY=1\nMAINPID={pid}\nSTATUS=a b\n");
            assert_eq!(hear(&socket), ready, "the same status is not sent again");
            notifier.stopping(Duration::from_millis(1500));
            let stopping = "STOPPING=1\nEXTEND_TIMEOUT_USEC=11500000\nSTATUS=a b\n";
            assert_eq!(hear(&socket), stopping);
        }
        std::fs::remove_file(&path).expect("removed");
        Notifier::default().ready();
    }

    #[test]
    fn what_finds_no_room_is_sent_when_there_is_some() {
        let name = format!("oxicorn-notify-full-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        let mut notifier = Notifier::to(&format!("@{name}"));
        let mut others = 0;
        while notifier.try_to_send("X=1\n") {
            others += 1;
        }
        notifier.reloading();
        notifier.ready();
        notifier.show("all is well");
        let soon = notifier.deadline().expect("another attempt");
        assert!(soon <= Instant::now() + RETRY);
        notifier.keep_alive(Instant::now());
        (0..others).for_each(|_| assert_eq!(hear(&socket), "X=1\n"));
        notifier.keep_alive(Instant::now());
        assert!(hear(&socket).starts_with("RELOADING=1\n"));
        assert!(hear(&socket).starts_with("READY=1\n"));
        assert!(notifier.deadline().is_none());
        notifier.show("all is well");
        assert_eq!(hear(&socket), "STATUS=all is well\n");
    }

    #[test]
    fn only_an_address_is_one() {
        for bad in ["", "notify", "./notify", &format!("/{}", "a".repeat(200))] {
            assert!(!Notifier::to(bad).is_on(), "{bad}");
        }
    }
}
