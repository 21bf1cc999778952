//! The listening sockets: bound by the master before it forks, shared by all children.
//!
//! A reload keeps the sockets whose address stays, binds the new ones before it lets go of any,
//! and closes the rest when no generation needs them. Each socket belongs to the master; a child
//! duplicates what its generation listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use oxicorn_common::address::Address;
use oxicorn_common::{Listener, Settings};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::last_call::last_call;
use crate::{privileges, sys};

/// As gunicorn's.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Why a socket does not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}{advice}")]
pub(crate) struct BindError {
    address: Address,
    source: io::Error,
    advice: &'static str,
}

/// One socket of the master's.
#[derive(Debug)]
pub(crate) struct Bound {
    fd: OwnedFd,
    /// As the settings name it.
    asked: Address,
    /// As the kernel has it.
    actual: Address,
    /// The socket file that we have made and shall remove.
    file: Option<PathBuf>,
}

/// All sockets of one generation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners {
    sockets: Vec<Rc<Bound>>,
    /// By whoever started us, in place of `bind`: a reload has no say in them.
    given: bool,
}

impl Listeners {
    /// The sockets of a start: whoever holds an address may be about to let go of it.
    pub(crate) fn bind(settings: &Settings) -> Result<Self, BindError> {
        Self::bind_with(settings, &Self::default(), bind_patiently)
    }

    /// The sockets of a reload: those of `self` whose address stays, and new ones. Does not wait:
    /// the master has children to look after.
    pub(crate) fn rebind(&self, settings: &Settings) -> Result<Self, BindError> {
        Self::bind_with(settings, self, bind)
    }

    fn bind_with(
        settings: &Settings,
        before: &Self,
        bind: impl Fn(&Address, &Settings) -> Result<Bound, BindError>,
    ) -> Result<Self, BindError> {
        if before.given {
            return Ok(before.clone());
        }
        let mut bound: Vec<Rc<Bound>> = Vec::new();
        for address in &settings.bind {
            if bound.iter().any(|other| other.asked == *address) {
                continue;
            }
            let socket = match before.sockets.iter().find(|other| other.asked == *address) {
                Some(kept) => {
                    // A backlog may be changed by listening again (listen(2)).
                    let failed = |source| BindError::new(address, source);
                    SockRef::from(&kept.fd)
                        .listen(backlog(settings))
                        .map_err(failed)?;
                    Rc::clone(kept)
                }
                None => Rc::new(bind(address, settings)?),
            };
            bound.push(socket);
        }
        Ok(Self {
            sockets: bound,
            given: false,
        })
    }

    /// The sockets that systemd has opened for us, which then count instead of `bind`.
    pub(crate) fn adopt(descriptors: impl Iterator<Item = RawFd>) -> Result<Self, BindError> {
        let sockets = descriptors
            .map(|fd| adopt(&Address::Fd(fd), fd).map(Rc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            sockets,
            given: true,
        })
    }

    /// What a child listens on. Fails when it has no descriptors left.
    pub(crate) fn for_child(&self) -> io::Result<Vec<Listener>> {
        let duplicate = |bound: &Rc<Bound>| {
            Ok(Listener {
                fd: bound.fd.try_clone()?,
                address: bound.actual.clone(),
            })
        };
        self.sockets.iter().map(duplicate).collect()
    }

    /// Where this listens, as gunicorn's start line has it.
    pub(crate) fn describe(&self) -> String {
        let urls = self.sockets.iter().map(|bound| match &bound.actual {
            tcp @ Address::Tcp { .. } => format!("http://{tcp}"),
            other => other.to_string(),
        });
        urls.collect::<Vec<_>>().join(",")
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
            if let Some(file) = bound.file.as_ref().filter(|_| !needed) {
                // Whoever starts next finds that nobody answers and removes it.
                let _ = std::fs::remove_file(file);
            }
        }
    }

    /// Lets nobody else in, for good. Sockets that came from elsewhere may go on elsewhere.
    pub(crate) fn last_call(&self) {
        for bound in &self.sockets {
            if matches!(bound.asked, Address::Tcp { .. })
                && let Err(error) = last_call(&bound.fd)
            {
                log::debug!("{} takes connections to the end: {error}", bound.actual);
            }
        }
    }

    fn holds(&self, bound: &Rc<Bound>) -> bool {
        self.sockets.iter().any(|other| Rc::ptr_eq(other, bound))
    }
}

impl BindError {
    fn new(address: &Address, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => " (stop what listens there, or choose another --bind)",
            io::ErrorKind::AddrNotAvailable => " (choose an address of this machine)",
            io::ErrorKind::PermissionDenied => {
                " (ports below 1024 take root or CAP_NET_BIND_SERVICE, a socket file takes a \
                 directory that can be written)"
            }
            io::ErrorKind::NotFound => " (is there such a directory?)",
            _ => "",
        };
        Self {
            address: address.clone(),
            source,
            advice,
        }
    }
}

fn bind_patiently(address: &Address, settings: &Settings) -> Result<Bound, BindError> {
    for _ in 1..ATTEMPTS {
        match bind(address, settings) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                log::error!("Connection in use: {address}");
                log::error!("Retrying in {} second.", BETWEEN_ATTEMPTS.as_secs());
                thread::sleep(BETWEEN_ATTEMPTS);
            }
            outcome => return outcome,
        }
    }
    bind(address, settings)
}

fn bind(address: &Address, settings: &Settings) -> Result<Bound, BindError> {
    let result = match address {
        Address::Tcp { host, port } => bind_tcp(host, *port, settings),
        Address::Unix(path) => bind_unix(path, settings),
        Address::Fd(fd) => return adopt(address, *fd),
    };
    let socket = result.map_err(|source| BindError::new(address, source))?;
    let actual = actual_address(&socket, address);
    Ok(Bound {
        fd: socket.into(),
        asked: address.clone(),
        actual,
        file: match address {
            Address::Unix(path) => Some(path.clone()),
            _ => None,
        },
    })
}

fn bind_tcp(host: &str, port: u16, settings: &Settings) -> io::Result<Socket> {
    let address = resolve(host, port)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    listen(socket, settings)
}

/// IPv4 comes first where a name has both, as gunicorn opens an IPv6 socket for IPv6 literals only.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into());
    }
    let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    let v4 = addresses.iter().find(|address| address.is_ipv4());
    v4.or(addresses.first())
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

fn bind_unix(path: &Path, settings: &Settings) -> io::Result<Socket> {
    clear_the_way(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let before = umask(Mode::from_bits_truncate(settings.umask));
    let result = socket.bind(&SockAddr::unix(path)?);
    umask(before);
    result?;
    privileges::hand_over(path, settings)?;
    listen(socket, settings)
}

/// Removes a socket file that nobody answers on. Anything else in its place stays.
fn clear_the_way(path: &Path) -> io::Result<()> {
    let there = match std::fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        let text = "there is a file of that name that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener with a full backlog would make us wait.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

fn listen(socket: Socket, settings: &Settings) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    socket.listen(backlog(settings))?;
    Ok(socket)
}

fn adopt(address: &Address, fd: RawFd) -> Result<Bound, BindError> {
    let failed = |source| BindError {
        address: address.clone(),
        source,
        advice: " (it must be an open stream socket that listens)",
    };
    let fd = sys::adopt(fd).map_err(failed)?;
    let socket = SockRef::from(&fd);
    let listens = socket.is_listener().map_err(failed)?;
    if !listens {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Bound {
        actual: actual_address(&socket, address),
        asked: address.clone(),
        file: None,
        fd,
    })
}

fn actual_address(socket: &Socket, asked: &Address) -> Address {
    let Ok(address) = socket.local_addr() else {
        return asked.clone();
    };
    if let Some(path) = address.as_pathname() {
        return Address::Unix(path.to_owned());
    }
    address.as_socket().map_or_else(
        || asked.clone(),
        |address| Address::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        },
    )
}

fn backlog(settings: &Settings) -> i32 {
    i32::try_from(settings.backlog).unwrap_or(i32::MAX)
}

impl AsFd for Bound {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn settings(bind: Vec<Address>) -> Settings {
        Settings {
            bind,
            ..Settings::default()
        }
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
        let first = Listeners::bind(&settings(vec![any_port()])).expect("bound");
        assert!(first.describe().starts_with("http://127.0.0.1:"));
        assert!(!first.describe().ends_with(":0"));
        let file = path("kept");
        let both = settings(vec![any_port(), Address::Unix(file.clone())]);
        let second = first.rebind(&both).expect("bound");
        assert!(second.describe().starts_with(&first.describe()));
        assert!(
            second
                .describe()
                .ends_with(&format!("unix:{}", file.display()))
        );
        assert!(!first.is_same(&second) && file.exists());
        second.retire([&first].into_iter());
        assert!(!file.exists());
    }

    #[test]
    fn a_socket_file_is_taken_over_only_when_nobody_answers() {
        let file = path("stale");
        let live = UnixListener::bind(&file).expect("a socket");
        let taken = clear_the_way(&file).expect_err("somebody answers");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(live);
        clear_the_way(&file).expect("nobody answers");
        assert!(!file.exists());
        std::fs::write(&file, "precious").expect("a file");
        assert!(clear_the_way(&file).is_err() && file.exists());
        std::fs::remove_file(&file).expect("removed");
    }

    #[test]
    fn errors_name_the_address_and_what_to_do() {
        let error = BindError::new(&any_port(), io::Error::from_raw_os_error(libc::EADDRINUSE));
        let text = error.to_string();
        assert!(text.starts_with("cannot listen at 127.0.0.1:0 (stop"));
        assert!(text.ends_with("choose another --bind)"));
    }
}
