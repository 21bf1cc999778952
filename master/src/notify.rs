//! Notifies systemd of the state of the server (`Type=notify`, sd_notify(3)): a datagram to the socket that
//! NOTIFY_SOCKET names. Without that variable nothing is sent.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use oxicorn_common::clock::monotonic_millis;

use crate::sys;

#[derive(Debug, Default)]
pub(crate) struct Notifier {
    address: Option<SocketAddr>,
    /// The old master is still the main process.
    waits: bool,
}

impl Notifier {
    /// Removes the variable from the environment, so that only the master notifies. A master that `waits` for the end
    /// of the old one sends nothing before that.
    pub(crate) fn take(environment: &BTreeMap<String, String>, waits: bool) -> Self {
        sys::remove_variable("NOTIFY_SOCKET");
        let notifier = environment.get("NOTIFY_SOCKET").map(|name| Self::to(name));
        Self {
            waits,
            ..notifier.unwrap_or_default()
        }
    }

    /// This is the main process from now on.
    pub(crate) fn promoted(&mut self) {
        self.waits = false;
        self.ready();
    }

    /// A path, or `@` and a name in the abstract namespace (unix(7)).
    fn to(name: &str) -> Self {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        Self {
            address: address.ok(),
            waits: false,
        }
    }

    /// The server serves, for the first time or after a reload.
    pub(crate) fn ready(&self) {
        self.send(&format!("READY=1\nMAINPID={}\n", std::process::id()));
    }

    /// A reload begins; `Type=notify-reload` needs to know when.
    pub(crate) fn reloading(&self) {
        let micros = monotonic_millis() * 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// This process ends, and the server continues in another one.
    pub(crate) fn handed_over_to(&self, pid: i32) {
        self.send(&format!("MAINPID={pid}\n"));
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    fn send(&self, text: &str) {
        if let Some(address) = self.address.as_ref().filter(|_| !self.waits)
            && let Err(error) = send_to(address, text)
        {
            log::debug!("cannot notify systemd: {error}");
        }
    }
}

fn send_to(address: &SocketAddr, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // The master never waits for the receiver.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_socket_are_notified() {
        let name = format!("oxicorn-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let file = UnixDatagram::bind(&path).expect("a socket");
        let hidden = SocketAddr::from_abstract_name(&name).expect("a name");
        let hidden = UnixDatagram::bind_addr(&hidden).expect("a socket");
        let spellings = [path.display().to_string(), format!("@{name}")];
        for (spelling, socket) in spellings.into_iter().zip([file, hidden]) {
            Notifier::to(&spelling).ready();
            let mut text = [0; 100];
            let length = socket.recv(&mut text).expect("a datagram");
            assert!(text[..length].starts_with(b"READY=1\n"));
        }
        std::fs::remove_file(&path).expect("removed");
        Notifier::default().stopping();
    }
}
