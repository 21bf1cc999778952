//! A name in a directory, found without following a link that the workers' user has made.
//!
//! A master that is root opens, renames and removes files in directories that its workers may be able to write to.
//! If it looked up a path by its text, they could put a link in between and have root work on a file of their
//! choice. So a path is followed step by step, each from the descriptor of the directory before
//! (path_resolution(7)), and a link of that user is an error. Other links are followed: administrators have always
//! linked logs and sockets elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, Gid, Uid, UnlinkatFlags, faccessat, fchownat, unlinkat};

/// As many as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Opens a link itself and not its target.
const HANDLE: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// The last step of a path: a name in an open directory. There may be any kind of file, or none.
#[derive(Debug)]
pub struct DirectoryEntry {
    directory: OwnedFd,
    name: OsString,
    /// The name is a descriptor's in `/proc`: a link that nobody can make, and whose target has no path.
    is_descriptor: bool,
    distrusted: Option<Uid>,
}

impl DirectoryEntry {
    /// Follows `path` up to its last name, and further if that is a link. `workers` is the user that the workers
    /// run as. If we are not root, or the workers are root too, all links are followed.
    pub fn find(path: &Path, workers: Option<Uid>) -> io::Result<Self> {
        let is_root = Uid::effective().is_root();
        let distrusted = workers.filter(|user| is_root && !user.is_root());
        let start = |path| {
            open(
                path,
                OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )
        };
        let mut directory = start(".")?;
        let mut text = PathBuf::new();
        let mut ahead = steps(path);
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            let is_last = ahead.is_empty();
            let name = match step {
                PathStep::Root => {
                    (directory, text) = (start("/")?, PathBuf::from("/"));
                    continue;
                }
                PathStep::Name(name) => name,
            };
            let there = match openat(&directory, name.as_os_str(), HANDLE, Mode::empty()) {
                Err(Errno::ENOENT) if is_last => None,
                outcome => Some(outcome?),
            };
            let is_link = |it: &OwnedFd| fstat(it).is_ok_and(|it| kind(&it) == SFlag::S_IFLNK);
            let Some(link) = there.as_ref().filter(|it| is_link(it)) else {
                match there {
                    Some(next) if !is_last => directory = next,
                    _ => {
                        return Ok(Self {
                            directory,
                            name,
                            is_descriptor: false,
                            distrusted,
                        });
                    }
                }
                text.push(&name);
                continue;
            };
            let owner = Uid::from_raw(fstat(link)?.st_uid);
            if fstatfs(link)?.filesystem_type() == PROC_SUPER_MAGIC {
                if is_last {
                    return Ok(Self {
                        directory,
                        name,
                        is_descriptor: true,
                        distrusted,
                    });
                }
                directory = openat(
                    &directory,
                    name.as_os_str(),
                    OFlag::O_PATH | OFlag::O_CLOEXEC,
                    Mode::empty(),
                )?;
                continue;
            }
            if distrusted == Some(owner) {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!(
                        "{} is a link made by the user of the workers (uid {owner}), and root \
                         follows none of these: name the place that it leads to, or remove it",
                        text.join(&name).display()
                    ),
                ));
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            ahead.extend(steps(Path::new(&readlinkat(link, "")?)));
        }
        Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it names a directory, not a file",
        ))
    }

    /// Another name in the same directory.
    pub fn sibling(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self {
            directory: self.directory.try_clone()?,
            name: name.to_owned(),
            is_descriptor: false,
            distrusted: self.distrusted,
        })
    }

    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Opens the file, or makes it with `mode`: then the second value is true. Never waits for the other end of a
    /// FIFO.
    pub fn open(&self, flags: OFlag, mode: Mode) -> io::Result<(File, bool)> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let name = self.name.as_os_str();
        if self.is_descriptor {
            let file = openat(&self.directory, name, flags, Mode::empty())?;
            return Ok((file.into(), false));
        }
        let flags = flags | OFlag::O_NOFOLLOW;
        // Others may make and remove it between the two attempts.
        for _ in 0..MOST_LINKS {
            match openat(&self.directory, name, flags, Mode::empty()) {
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
                Ok(file) => {
                    self.check_names(&fstat(&file)?)?;
                    return Ok((file.into(), false));
                }
            }
            let new = flags | OFlag::O_CREAT | OFlag::O_EXCL;
            match openat(&self.directory, name, new, mode) {
                Err(Errno::EEXIST) => {}
                outcome => return Ok((outcome?.into(), true)),
            }
        }
        Err(Errno::ELOOP.into())
    }

    /// Anybody can give another user's file one more name, if the kernel allows it (link(2)).
    fn check_names(&self, file: &FileStat) -> io::Result<()> {
        let is_another = |user: Uid| file.st_uid != user.as_raw();
        let has_more = kind(file) == SFlag::S_IFREG && file.st_nlink > 1;
        match self.distrusted.is_some_and(is_another) && has_more {
            false => Ok(()),
            true => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the file has other names too (hard links), one of which the user of the workers \
                 may have made: remove them",
            )),
        }
    }

    /// Whether the file can be written to, or made. Changes nothing.
    pub fn check_writable(&self) -> io::Result<()> {
        let allowed =
            |name: &OsStr, flags| faccessat(&self.directory, name, flags, AtFlags::AT_EACCESS);
        match allowed(self.name.as_os_str(), AccessFlags::W_OK) {
            Err(Errno::ENOENT) => self.check_replaceable(),
            outcome => Ok(outcome?),
        }
    }

    /// Whether names of the directory can be made and removed.
    pub fn check_replaceable(&self) -> io::Result<()> {
        let flags = AccessFlags::W_OK | AccessFlags::X_OK;
        Ok(faccessat(&self.directory, ".", flags, AtFlags::AT_EACCESS)?)
    }

    /// The status of the file that has the name now. A link is not followed.
    pub fn status(&self) -> io::Result<FileStat> {
        let name = self.name.as_os_str();
        Ok(fstatat(
            &self.directory,
            name,
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?)
    }

    /// Whether `file` has the name now.
    pub fn is(&self, file: &File) -> bool {
        let id = |it: FileStat| (it.st_dev, it.st_ino);
        let (there, own) = (self.status(), fstat(file));
        there.is_ok_and(|there| own.is_ok_and(|own| id(own) == id(there)))
    }

    /// Gives this name to the file that is called `from` now, and replaces any file that has it.
    pub fn replace_by(&self, from: &Self) -> io::Result<()> {
        let (old, new) = (from.name.as_os_str(), self.name.as_os_str());
        Ok(renameat(&from.directory, old, &self.directory, new)?)
    }

    pub fn remove(&self) -> io::Result<()> {
        let name = self.name.as_os_str();
        Ok(unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Gives the socket file that this process has just made to another user. If another file has taken its
    /// place meanwhile, that is an error, and the file stays as it is.
    pub fn give_socket(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        let file = openat(
            &self.directory,
            self.name.as_os_str(),
            HANDLE,
            Mode::empty(),
        )?;
        let status = fstat(&file)?;
        let is_ours = status.st_uid == Uid::effective().as_raw() && status.st_nlink == 1;
        if kind(&status) != SFlag::S_IFSOCK || !is_ours {
            return Err(io::Error::other(
                "another file has taken the place of the socket",
            ));
        }
        Ok(fchownat(
            file.as_fd(),
            "",
            user,
            group,
            AtFlags::AT_EMPTY_PATH,
        )?)
    }
}

enum PathStep {
    Root,
    Name(OsString),
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<PathStep> {
    let components = path.components().rev();
    let step = |component: Component<'_>| match component {
        Component::RootDir | Component::Prefix(_) => Some(PathStep::Root),
        Component::CurDir => None,
        Component::ParentDir => Some(PathStep::Name("..".into())),
        Component::Normal(name) => Some(PathStep::Name(name.to_owned())),
    };
    components.filter_map(step).collect()
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    const NOBODY: u32 = 65534;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("oxicorn-entry-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(path.join("inner")).expect("a directory");
            Self(path)
        }

        /// A link that `owner` seems to have made.
        fn link(&self, name: &str, target: &str, owner: u32) -> PathBuf {
            let path = self.0.join(name);
            symlink(target, &path).expect("a link");
            lchown(&path, Some(owner), None).expect("root");
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write_to(path: &Path, workers: Option<u32>) -> io::Result<bool> {
        let entry = DirectoryEntry::find(path, workers.map(Uid::from_raw))?;
        let (_, is_new) = entry.open(OFlag::O_WRONLY | OFlag::O_APPEND, Mode::S_IRUSR)?;
        Ok(is_new)
    }

    #[test]
    fn links_are_followed_unless_the_workers_made_them() {
        let there = Directory::new("links");
        if !Uid::effective().is_root() {
            eprintln!("skipped: only root can make links of others");
            return;
        }
        let roots = there.link("roots", "inner/../inner/a", 0);
        assert_eq!(write_to(&roots, Some(NOBODY)).ok(), Some(true));
        assert_eq!(write_to(&roots, Some(NOBODY)).ok(), Some(false));
        assert!(there.0.join("inner/a").is_file());
        for (name, target, rest) in [("file", "inner/b", ""), ("directory", "inner", "c")] {
            let theirs = there.link(name, target, NOBODY);
            let path = theirs.join(rest);
            let error = write_to(&path, Some(NOBODY)).expect_err("it is followed");
            assert!(
                error.to_string().contains(&theirs.display().to_string()),
                "{error}"
            );
            assert!(!there.0.join("inner/b").exists() && !there.0.join("inner/c").exists());
            // If the workers run as root or as another user, the link is trusted.
            assert!(write_to(&path, None).is_ok() && write_to(&path, Some(0)).is_ok());
            assert!(write_to(&path, Some(4711)).is_ok());
            fs::remove_file(there.0.join("inner/b")).ok();
            fs::remove_file(there.0.join("inner/c")).ok();
        }
        let round = there.link("round", "round", 0);
        assert!(write_to(&round, None).is_err());
    }

    #[test]
    fn another_name_of_roots_file_is_not_opened() {
        let there = Directory::new("names");
        if !Uid::effective().is_root() {
            return;
        }
        let (file, name) = (there.0.join("precious"), there.0.join("log"));
        fs::write(&file, "").expect("a file");
        fs::hard_link(&file, &name).expect("a name");
        assert!(write_to(&name, Some(NOBODY)).is_err());
        assert!(write_to(&name, None).is_ok());
    }

    #[test]
    fn places_without_a_text_are_opened() {
        assert_eq!(
            write_to(Path::new("/dev/null"), Some(NOBODY)).ok(),
            Some(false)
        );
        let open = File::open(std::env::temp_dir()).expect("a directory");
        let fd = std::os::fd::AsRawFd::as_raw_fd(&open);
        let path = format!("/proc/self/fd/{fd}/oxicorn-nothing");
        let entry = DirectoryEntry::find(Path::new(&path), Some(Uid::from_raw(NOBODY)));
        assert!(entry.is_ok_and(|it| it.status().is_err()));
        assert!(DirectoryEntry::find(Path::new("/"), None).is_err());
    }
}
