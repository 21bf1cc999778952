//! Opens a file below a directory, and nothing else: links may lead anywhere in the directory, never out of it.
//!
//! The kernel does that in one call, openat2(2) with `RESOLVE_BENEATH`. Where it does not offer it (before Linux 5.6, or
//! behind an older seccomp filter), and for links with absolute targets, which may lead back into the directory, this
//! process goes the way itself, one name at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Stat, fstat, fstatfs, openat, openat2,
    readlinkat,
};
use rustix::io::Errno;

use super::url_path::below;

/// Never waits: a FIFO without a writer opens at once.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);
const ONLY_NAME: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;
/// openat2(2) fails with EAGAIN while something in the way is renamed.
const ATTEMPTS: usize = 4;

/// A directory, with its name.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    path: PathBuf,
    stat: Stat,
    uses_openat2: bool,
}

impl Root {
    /// Opens `path`, which may be a link. The error is ENOTDIR if it is a file.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = ONLY_NAME | OFlags::DIRECTORY;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let stat = fstat(&directory)?;
        let uses_openat2 = offers_openat2(directory.as_fd());
        Ok(Self {
            directory,
            path: path.to_owned(),
            stat,
            uses_openat2,
        })
    }

    /// Whether both are the same directory.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.stat.st_dev, other.stat.st_ino)
    }

    /// Opens the file or directory called `name`, relative, for reading.
    pub(super) fn open_file(&self, name: &[u8]) -> Result<File, Errno> {
        let name = if name.is_empty() { b"." } else { name };
        for _ in 0..ATTEMPTS {
            if !self.uses_openat2 {
                break;
            }
            let flags = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.directory, name, READ, Mode::empty(), flags) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::XDEV) => break,
                opened => return opened.map(File::from),
            }
        }
        self.walk(name).map(File::from)
    }

    /// As [`Root::open_file`], without openat2(2). A name is never resolved by the kernel in more than one step, and
    /// `..` is never passed to it: so the way cannot lead out, whatever is renamed meanwhile.
    fn walk(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let mut way: Vec<OwnedFd> = Vec::new();
        let mut left: VecDeque<Vec<u8>> = segments(name);
        let mut links = 0;
        loop {
            let here = way.last().map_or(self.directory.as_fd(), AsFd::as_fd);
            let Some(segment) = left.pop_front() else {
                return openat(here, ".", READ | OFlags::DIRECTORY, Mode::empty());
            };
            match segment.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.pop().ok_or(Errno::XDEV)?;
                    continue;
                }
                _ => {}
            }
            let found = openat(
                here,
                segment.as_slice(),
                ONLY_NAME | OFlags::NOFOLLOW,
                Mode::empty(),
            )?;
            let stat = fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    let target = target_of(found.as_fd())?;
                    let target = match target.first() {
                        _ if links > MOST_LINKS => return Err(Errno::LOOP),
                        None => return Err(Errno::NOENT),
                        Some(b'/') => {
                            way.clear();
                            self.below(&target).ok_or(Errno::XDEV)?
                        }
                        Some(_) => target,
                    };
                    for segment in segments(&target).into_iter().rev() {
                        left.push_front(segment);
                    }
                }
                FileType::Directory => way.push(found),
                _ if !left.is_empty() => return Err(Errno::NOTDIR),
                _ => return reopen(here, &segment, &stat),
            }
        }
    }

    /// The part of an absolute target that lies in this directory. It may be written with links on the way or without.
    fn below(&self, target: &[u8]) -> Option<Vec<u8>> {
        let rest = |name: &Path| below(target, name.as_os_str().as_bytes()).map(<[u8]>::to_vec);
        rest(&self.path).or_else(|| rest(&self.path.canonicalize().ok()?))
    }
}

/// Opens for reading what was found at `name`.
fn reopen(here: BorrowedFd<'_>, name: &[u8], found: &Stat) -> Result<OwnedFd, Errno> {
    // A device may act when it is opened.
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(Errno::NXIO);
    }
    openat(here, name, READ | OFlags::NOFOLLOW, Mode::empty())
}

fn target_of(link: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // Links of procfs are no texts: they lead to files that need not have a name (symlink(7)).
    if fstatfs(link)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::LOOP);
    }
    Ok(readlinkat(link, "", Vec::new())?.into_bytes())
}

fn segments(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whether the kernel has openat2(2), and no filter refuses it.
fn offers_openat2(directory: BorrowedFd<'_>) -> bool {
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = openat2(directory, ".", ONLY_NAME, Mode::empty(), flags);
    !matches!(opened, Err(Errno::NOSYS | Errno::PERM | Errno::INVAL))
}

#[cfg(test)]
mod tests;
