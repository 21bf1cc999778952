//! The control socket itself: a listening socket with a file that only its owner may use.
//!
//! Several servers may want the same file, as all of one user do without a setting. The first one has it. A file on which a
//! process answers is never taken away from it, and a file that somebody else has put in our place is left alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::FileStat;
use nix::unistd::{Uid, geteuid};
use oxicorn_common::DirectoryEntry;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::bound_socket::clear_the_way;
use crate::file_mask::with_file_mask;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Where the socket should be, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlPlace {
    pub(crate) path: PathBuf,
    /// The permissions of the file.
    pub(crate) mode: u32,
    /// The user of the workers, whose links are not followed.
    pub(crate) workers: Option<Uid>,
}

/// Dropping it closes it and leaves the file, as a forked child must; see [`ControlSocket::remove`].
#[derive(Debug)]
pub(crate) struct ControlSocket {
    place: ControlPlace,
    listener: UnixListener,
    entry: DirectoryEntry,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl ControlSocket {
    /// Listens. If another process does, the error is [`io::ErrorKind::AddrInUse`].
    pub(crate) fn bind(place: &ControlPlace) -> io::Result<Self> {
        // Before the directories are made: the address may be too long.
        let address = SockAddr::unix(&place.path)?;
        if let Some(directory) = place.path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(directory)?;
        }
        let entry = DirectoryEntry::find(&place.path, place.workers)?;
        clear_the_way(&entry, &place.path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        with_file_mask(!place.mode & 0o777, || socket.bind(&address)).map_err(in_the_way)?;
        let file = id(&entry.status()?);
        socket.listen(BACKLOG)?;
        Ok(Self {
            place: place.clone(),
            listener: socket.into(),
            entry,
            file,
        })
    }

    pub(crate) fn place(&self) -> &ControlPlace {
        &self.place
    }

    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }

    /// The next client, which is refused with the second value if that is there. Never waits.
    pub(crate) fn accept(&self) -> io::Result<(UnixStream, Option<String>)> {
        // Closed on exec.
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        let peer = getsockopt(&stream, PeerCredentials)?;
        let refusal = self.refusal(&peer);
        Ok((stream, refusal))
    }

    /// Whether the file is still the one that we have made.
    pub(crate) fn is_in_place(&self) -> bool {
        self.entry.status().is_ok_and(|it| id(&it) == self.file)
    }

    /// Moves the file to another path in a place that is free.
    pub(crate) fn move_to(&mut self, path: &Path) -> io::Result<()> {
        let entry = DirectoryEntry::find(path, self.place.workers)?;
        clear_the_way(&entry, path)?;
        entry.replace_by(&self.entry)?;
        self.entry = entry;
        path.clone_into(&mut self.place.path);
        Ok(())
    }

    /// Closes the socket and removes the file, unless it is somebody else's by now.
    pub(crate) fn remove(self) {
        if self.is_in_place() {
            // The next start finds that nobody answers.
            let _ = self.entry.remove();
        }
    }

    /// The file's permissions decide who can connect. By default that is its owner, and they may have been changed since by
    /// accident: so nobody but root and the user of this process gets past here. An administrator who has set the mode so
    /// that others can write to it has decided otherwise.
    fn refusal(&self, peer: &UnixCredentials) -> Option<String> {
        let is_open = self.place.mode & 0o022 != 0;
        let (user, own) = (Uid::from_raw(peer.uid()), geteuid());
        if is_open || user.is_root() || user == own {
            return None;
        }
        Some(format!(
            "user {user} may not control this server, only root and user {own}: see control_socket_mode"
        ))
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// No process answers at the path, or this would not have been tried.
fn in_the_way(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let text = "there is something else of that name, such as a link that leads nowhere";
            io::Error::new(io::ErrorKind::AlreadyExists, text)
        }
        _ => error,
    }
}

fn id(status: &FileStat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(name: &str) -> ControlPlace {
        let directory = format!("oxicorn-control-{name}-{}", std::process::id());
        ControlPlace {
            path: std::env::temp_dir()
                .join(directory)
                .join("run/gunicorn.ctl"),
            mode: 0o600,
            workers: None,
        }
    }

    fn clean(place: &ControlPlace) {
        let root = place.path.ancestors().nth(2).expect("two directories");
        std::fs::remove_dir_all(root).expect("removed");
    }

    #[test]
    fn it_is_private_and_gone_at_the_end() {
        let place = place("private");
        let socket = ControlSocket::bind(&place).expect("a socket");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode(&place.path) & 0o777, 0o600);
        let directory = place.path.parent().expect("a directory");
        assert_eq!(mode(directory) & 0o777, 0o700);
        let nobody = socket.accept().expect_err("no client");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        let client = UnixStream::connect(&place.path).expect("it listens");
        let (_, refusal) = socket.accept().expect("a client");
        assert_eq!(refusal, None, "it is our own user");
        drop(client);
        socket.remove();
        assert!(!place.path.exists());
        clean(&place);
    }

    #[test]
    fn a_living_one_is_not_taken_and_a_left_one_is() {
        let place = place("living");
        let living = ControlSocket::bind(&place).expect("a socket");
        let second = ControlSocket::bind(&place).expect_err("another answers");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        assert!(living.is_in_place());
        drop(living);
        let heir = ControlSocket::bind(&place).expect("nobody answers");
        std::fs::remove_file(&place.path).expect("removed by somebody");
        assert!(!heir.is_in_place());
        std::fs::write(&place.path, "precious").expect("a file");
        heir.remove();
        assert!(place.path.exists(), "it is not ours");
        ControlSocket::bind(&place).expect_err("it is no socket");
        clean(&place);
    }

    #[test]
    fn it_can_be_moved_over_one_that_is_left() {
        let place = place("moved");
        let left = ControlSocket::bind(&place).expect("a socket");
        let beside = ControlPlace {
            path: place.path.with_extension("ctl.2"),
            ..place.clone()
        };
        let mut socket = ControlSocket::bind(&beside).expect("a socket");
        socket.move_to(&place.path).expect_err("it lives");
        assert!(socket.is_in_place());
        drop(left);
        socket.move_to(&place.path).expect("moved");
        assert!(socket.is_in_place() && !beside.path.exists());
        let _client = UnixStream::connect(&place.path).expect("it listens");
        socket.accept().expect("a client");
        socket.remove();
        assert!(!place.path.exists());
        clean(&place);
    }

    #[test]
    fn other_users_are_refused_unless_the_mode_is_for_them() {
        let mut place = place("users");
        let socket = ControlSocket::bind(&place).expect("a socket");
        // This process, as another user would appear.
        let own = UnixCredentials::new();
        assert_eq!(socket.refusal(&own), None);
        let other = libc::ucred {
            pid: 1,
            uid: 65534,
            gid: 65534,
        };
        let other = UnixCredentials::from(other);
        assert!(
            socket
                .refusal(&other)
                .is_some_and(|it| it.contains("65534"))
        );
        socket.remove();
        place.mode = 0o660;
        let socket = ControlSocket::bind(&place).expect("a socket");
        assert_eq!(socket.refusal(&other), None);
        socket.remove();
        clean(&place);
    }

    #[test]
    fn a_path_that_no_address_can_have_leaves_no_directory() {
        let mut place = place("long");
        place.path = place.path.with_file_name("x".repeat(120));
        ControlSocket::bind(&place).expect_err("too long");
        let directory = place.path.parent().expect("a directory");
        assert!(!directory.exists());
    }
}
