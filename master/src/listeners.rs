//! The listening sockets of one generation, those of `bind` or those of `admin_bind`: bound by the master before it forks, shared by all
//! children.
//!
//! A reload keeps the sockets whose address stays, binds the new ones before it closes any, and closes the rest
//! when no generation needs them. Each socket belongs to the master; a child duplicates those of its generation.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::sys::stat::fstat;
use oxicorn_admin::PublicListener;
use oxicorn_common::address::Address;
use oxicorn_common::status::ListenerStatus;
use oxicorn_common::tcp_info::listen_backlog;
use oxicorn_common::{Listener, Settings};

use crate::bound_socket::{BindError, BoundSocket};
use crate::syn_filter::reject_handshakes;
use crate::sys;

/// The variables that name them for a new master, one per line: descriptor, space, the address that it was bound for.
pub(crate) const SOCKETS: &str = "OXICORN_FD";
pub(crate) const ADMIN_SOCKETS: &str = "OXICORN_ADMIN_FD";

/// All sockets of one generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners {
    sockets: Vec<Rc<BoundSocket>>,
    /// Opened by systemd, and used in place of `bind`: a reload does not change them.
    given: bool,
}

impl Listeners {
    /// The sockets of a start: `inherited` ones that the settings still ask for, and new ones. Retries for a while if
    /// an address is in use.
    pub(crate) fn bind(
        inherited: Vec<(OwnedFd, Address)>,
        addresses: &[Address],
        settings: &Settings,
    ) -> Result<Self, BindError> {
        let inherited = inherited
            .into_iter()
            .map(|(fd, address)| BoundSocket::inherit(&address, fd, settings).map(Rc::new));
        let inherited = Self::of(inherited.collect::<Result<_, _>>()?);
        Self::bind_with(
            addresses,
            settings,
            &inherited,
            BoundSocket::bind_with_retries,
        )
    }

    /// The sockets of a reload: those of `self` whose address stays, and new ones. Does not wait, because the master
    /// must watch its children.
    pub(crate) fn rebind(
        &self,
        addresses: &[Address],
        settings: &Settings,
    ) -> Result<Self, BindError> {
        Self::bind_with(addresses, settings, self, BoundSocket::bind)
    }

    fn bind_with(
        addresses: &[Address],
        settings: &Settings,
        before: &Self,
        bind: impl Fn(&Address, &Settings) -> Result<BoundSocket, BindError>,
    ) -> Result<Self, BindError> {
        if before.given {
            return Ok(before.clone());
        }
        let mut bound: Vec<Rc<BoundSocket>> = Vec::new();
        for address in addresses {
            if bound.iter().any(|other| other.asked == *address) {
                continue;
            }
            let socket = match before.sockets.iter().find(|other| other.asked == *address) {
                Some(kept) => {
                    kept.listen_again(settings)?;
                    Rc::clone(kept)
                }
                None => match bind(address, settings) {
                    Ok(socket) => Rc::new(socket),
                    Err(error) => {
                        // Otherwise the socket files of the sockets that were bound would be left behind.
                        Self::of(bound).retire([before].into_iter());
                        return Err(error);
                    }
                },
            };
            bound.push(socket);
        }
        Ok(Self::of(bound))
    }

    fn of(sockets: Vec<Rc<BoundSocket>>) -> Self {
        Self {
            sockets,
            given: false,
        }
    }

    /// The sockets that systemd has opened for us, which are used instead of `bind`.
    pub(crate) fn adopt(descriptors: impl Iterator<Item = RawFd>) -> Result<Self, BindError> {
        let sockets = descriptors
            .map(|fd| BoundSocket::adopt(&Address::Fd(fd), fd).map(Rc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sockets,
            given: true,
        })
    }

    /// The sockets of a child. Fails if no descriptors are left.
    pub(crate) fn for_child(&self) -> io::Result<Vec<Listener>> {
        let duplicate = |bound: &Rc<BoundSocket>| {
            Ok(Listener {
                fd: bound.fd.try_clone()?,
                address: bound.actual.clone(),
            })
        };
        self.sockets.iter().map(duplicate).collect()
    }

    /// Those of a child that was a worker, for its own children.
    pub(crate) fn of_child(listeners: Vec<Listener>) -> Self {
        let bound = |it: Listener| BoundSocket {
            fd: it.fd,
            asked: it.address.clone(),
            actual: it.address,
            file: None,
        };
        Self {
            sockets: listeners.into_iter().map(bound).map(Rc::new).collect(),
            given: false,
        }
    }

    /// Keeps the sockets open over exec. Returns the variable that names them for a new master: `variable`, or that of
    /// systemd if systemd has opened them.
    pub(crate) fn keep_across_exec(
        &self,
        variable: &'static str,
    ) -> io::Result<(&'static str, String)> {
        let mut lines = String::new();
        for bound in &self.sockets {
            let fd = sys::keep_across_exec(&bound.fd)?;
            lines.push_str(&format!("{fd} {}\n", bound.asked));
        }
        Ok(match self.given {
            // The descriptors have their original numbers, and LISTEN_FDS is in the environment.
            true => ("LISTEN_PID", std::process::id().to_string()),
            false => (variable, lines),
        })
    }

    /// The number of connections that wait to be accepted, over all TCP sockets: the kernel does not report it
    /// for others. `None` without a TCP socket.
    pub(crate) fn waiting(&self) -> Option<u64> {
        let counts = self.sockets.iter().map(|bound| listen_backlog(&bound.fd));
        counts.flatten().reduce(|sum, count| sum + count)
    }

    /// The addresses, in the form of gunicorn's start line.
    pub(crate) fn describe(&self, is_secure: bool) -> String {
        let urls = self.describe_each(is_secure).map(|(url, ..)| url);
        urls.collect::<Vec<_>>().join(",")
    }

    /// The addresses that they are bound to.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.sockets.iter().map(|bound| &bound.actual)
    }

    /// The same with their inodes, by which the kernel's tables name them.
    pub(crate) fn inodes(&self) -> Vec<PublicListener> {
        let sockets = self.sockets.iter();
        let listener = |bound: &Rc<BoundSocket>| {
            Some(PublicListener {
                address: bound.actual.to_string(),
                inode: fstat(&bound.fd).ok()?.st_ino,
            })
        };
        sockets.filter_map(listener).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The addresses, and how many clients wait at each.
    pub(crate) fn status(&self) -> Vec<ListenerStatus> {
        let sockets = self.sockets.iter();
        sockets
            .map(|bound| ListenerStatus::of(&bound.fd, &bound.actual))
            .collect()
    }

    /// For each socket the address, the descriptor, and the family in gunicorn's word.
    pub(crate) fn describe_each(
        &self,
        is_secure: bool,
    ) -> impl Iterator<Item = (String, RawFd, &'static str)> {
        let scheme = if is_secure { "https" } else { "http" };
        self.sockets.iter().map(move |bound| {
            let (url, family) = match &bound.actual {
                tcp @ Address::Tcp { host, .. } => {
                    let family = if host.contains(':') { "tcp6" } else { "tcp" };
                    (format!("{scheme}://{tcp}"), family)
                }
                Address::Unix(_) => (bound.actual.to_string(), "unix"),
                Address::Fd(_) => (bound.actual.to_string(), "unknown"),
            };
            (url, bound.fd.as_raw_fd(), family)
        })
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.sockets.len() == other.sockets.len()
            && self.sockets.iter().all(|bound| other.holds(bound))
    }

    /// Removes the socket files that none of `remaining` listens on.
    pub(crate) fn retire<'a>(self, remaining: impl Iterator<Item = &'a Self>) {
        let remaining: Vec<&Self> = remaining.collect();
        for bound in self.sockets {
            let needed = remaining.iter().any(|other| other.holds(&bound));
            if !needed {
                bound.remove_file();
            }
        }
    }

    /// Admits no more clients, for good. Sockets that other processes opened stay: others may use them.
    pub(crate) fn reject_handshakes(&self) {
        for bound in &self.sockets {
            if matches!(bound.asked, Address::Tcp { .. })
                && let Err(error) = reject_handshakes(&bound.fd)
            {
                log::debug!("{} takes connections to the end: {error}", bound.actual);
            }
        }
    }

    fn holds(&self, bound: &Rc<BoundSocket>) -> bool {
        self.sockets.iter().any(|other| Rc::ptr_eq(other, bound))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn settings(bind: Vec<Address>) -> Settings {
        Settings {
            bind,
            ..Settings::default()
        }
    }

    fn bind(addresses: Vec<Address>) -> Result<Listeners, BindError> {
        let settings = settings(addresses);
        Listeners::bind(Vec::new(), &settings.bind, &settings)
    }

    fn any_port() -> Address {
        Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 0,
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("oxicorn-{name}-{}.sock", std::process::id()))
    }

    #[test]
    fn the_real_port_is_shown_and_kept_over_a_reload() {
        let first = bind(vec![any_port()]).expect("bound");
        assert!(first.describe(false).starts_with("http://127.0.0.1:"));
        assert!(!first.describe(false).ends_with(":0"));
        let file = path("kept");
        let both = settings(vec![any_port(), Address::Unix(file.clone())]);
        let second = first.rebind(&both.bind, &both).expect("bound");
        assert!(second.describe(false).starts_with(&first.describe(false)));
        assert!(
            second
                .describe(false)
                .ends_with(&format!("unix:{}", file.display()))
        );
        assert!(!first.is_same(&second) && file.exists());
        second.retire([&first].into_iter());
        assert!(!file.exists());
    }

    #[test]
    fn a_bind_that_fails_leaves_no_socket_file() {
        let file = path("partial");
        let bad = Address::Unix("/nonexistent/socket".into());
        let both = settings(vec![Address::Unix(file.clone()), bad]);
        bind(both.bind).expect_err("no such directory");
        assert!(!file.exists());
    }
}
