//! One listening socket of the master: bound by it, or taken over from the process that started it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::stat::{FileStat, SFlag};
use oxicorn_common::address::Address;
use oxicorn_common::{DirectoryEntry, Settings};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::file_mask::with_file_mask;
use crate::sys;

/// As in gunicorn.
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

/// One socket of the master.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(crate) fd: OwnedFd,
    /// As the settings spell it.
    pub(crate) asked: Address,
    /// As the kernel reports it.
    pub(crate) actual: Address,
    /// The socket file, which is removed at the end.
    pub(crate) file: Option<DirectoryEntry>,
}

impl BoundSocket {
    /// As [`BoundSocket::bind`], but tries again for a few seconds, as gunicorn does: another process may be about to
    /// free the address.
    pub(crate) fn bind_with_retries(
        address: &Address,
        settings: &Settings,
    ) -> Result<Self, BindError> {
        for _ in 1..ATTEMPTS {
            match Self::bind(address, settings) {
                Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                    log::error!("Connection in use: {address}");
                    log::error!("Retrying in {} second.", BETWEEN_ATTEMPTS.as_secs());
                    thread::sleep(BETWEEN_ATTEMPTS);
                }
                outcome => return outcome,
            }
        }
        Self::bind(address, settings)
    }

    /// Binds and listens. Never waits.
    pub(crate) fn bind(address: &Address, settings: &Settings) -> Result<Self, BindError> {
        let result = match address {
            Address::Tcp { host, port } => bind_tcp(host, *port, settings).map(|it| (it, None)),
            Address::Unix(path) => {
                bind_unix(path, settings).map(|(socket, file)| (socket, Some(file)))
            }
            Address::Fd(fd) => return Self::adopt(address, *fd),
        };
        let (socket, file) = result.map_err(|source| BindError::new(address, source))?;
        let actual = actual_address(&socket, address);
        Ok(Self {
            fd: socket.into(),
            asked: address.clone(),
            actual,
            file,
        })
    }

    /// Whether the address could be bound if it were free. It may be in use by the running server.
    pub(crate) fn check(address: &Address, settings: &Settings) -> Result<(), BindError> {
        let outcome = match address {
            Address::Tcp { host, port } => resolve(host, *port).and_then(|address| {
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&address.into())
            }),
            Address::Unix(path) => SockAddr::unix(path)
                .and_then(|_| DirectoryEntry::find(path, settings.user))
                .and_then(|file| match file.status() {
                    Ok(there) if !is_socket(&there) => Err(no_socket()),
                    _ => file.check_replaceable(),
                }),
            Address::Fd(_) => Ok(()),
        };
        match outcome {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                Err(BindError::new(address, error))
            }
            _ => Ok(()),
        }
    }

    /// Takes over a socket that this process was given.
    pub(crate) fn adopt(address: &Address, fd: RawFd) -> Result<Self, BindError> {
        Self::take(address, sys::adopt(fd))
    }

    fn take(address: &Address, fd: io::Result<OwnedFd>) -> Result<Self, BindError> {
        let failed = |source| BindError {
            address: address.clone(),
            source,
            advice: " (it must be an open stream socket that listens)",
        };
        let fd = fd.map_err(failed)?;
        let socket = SockRef::from(&fd);
        let listens = socket.is_listener().map_err(failed)?;
        if !listens {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            actual: actual_address(&socket, address),
            asked: address.clone(),
            file: None,
            fd,
        })
    }

    /// Takes over a socket that the old master has bound for `address`, and its file.
    pub(crate) fn inherit(
        address: &Address,
        fd: OwnedFd,
        settings: &Settings,
    ) -> Result<Self, BindError> {
        let bound = Self::take(address, Ok(fd))?;
        Ok(Self {
            file: match address {
                // A file that cannot be found any more need not be removed.
                Address::Unix(path) => DirectoryEntry::find(path, settings.user).ok(),
                _ => None,
            },
            ..bound
        })
    }

    /// Removes the socket file, if the name still belongs to a socket.
    pub(crate) fn remove_file(&self) {
        let is_socket = |file: &&DirectoryEntry| file.status().is_ok_and(|it| is_socket(&it));
        if let Some(file) = self.file.as_ref().filter(is_socket) {
            // The next start finds that no process answers, and removes it.
            let _ = file.remove();
        }
    }

    /// Listens again, with the backlog of the present settings (listen(2)).
    pub(crate) fn listen_again(&self, settings: &Settings) -> Result<(), BindError> {
        SockRef::from(&self.fd)
            .listen(backlog(settings))
            .map_err(|source| BindError::new(&self.asked, source))
    }
}

impl BindError {
    fn new(address: &Address, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => " (stop what listens there, or choose another address)",
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

fn bind_tcp(host: &str, port: u16, settings: &Settings) -> io::Result<Socket> {
    let address = resolve(host, port)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if settings.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    listen(socket, settings)
}

/// If a name has addresses of both versions, IPv4 comes first: gunicorn opens an IPv6 socket for IPv6 literals only.
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

fn bind_unix(path: &Path, settings: &Settings) -> io::Result<(Socket, DirectoryEntry)> {
    let file = DirectoryEntry::find(path, settings.user)?;
    clear_the_way(&file, path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    with_file_mask(settings.umask, || socket.bind(&address))?;
    if settings.user.is_some() || settings.group.is_some() {
        file.give_socket(settings.user, settings.group)?;
    }
    Ok((listen(socket, settings)?, file))
}

/// Removes a socket file on which no process answers. Any other file in its place stays.
pub(crate) fn clear_the_way(file: &DirectoryEntry, path: &Path) -> io::Result<()> {
    let there = match file.status() {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_socket(&there) {
        return Err(no_socket());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // With a blocking socket, a listener with a full backlog would make us wait.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => file.remove(),
        _ => Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
    }
}

fn no_socket() -> io::Error {
    let text = "there is a file of that name that is no socket";
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}

fn is_socket(status: &FileStat) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
}

fn listen(socket: Socket, settings: &Settings) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    socket.listen(backlog(settings))?;
    Ok(socket)
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_file_is_taken_over_only_when_nobody_answers() {
        let file = std::env::temp_dir().join(format!("oxicorn-stale-{}.sock", std::process::id()));
        let live = UnixListener::bind(&file).expect("a socket");
        let entry = DirectoryEntry::find(&file, None).expect("a place");
        let taken = clear_the_way(&entry, &file).expect_err("somebody answers");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(live);
        clear_the_way(&entry, &file).expect("nobody answers");
        assert!(!file.exists());
        std::fs::write(&file, "precious").expect("a file");
        assert!(clear_the_way(&entry, &file).is_err() && file.exists());
        std::fs::remove_file(&file).expect("removed");
    }

    #[test]
    fn errors_name_the_address_and_what_to_do() {
        let address = Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port: 0,
        };
        let error = BindError::new(&address, io::Error::from_raw_os_error(libc::EADDRINUSE));
        let text = error.to_string();
        assert!(text.starts_with("cannot listen at 127.0.0.1:0 (stop"));
        assert!(text.ends_with("choose another address)"));
    }
}
