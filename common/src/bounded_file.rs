//! [`read_bounded`]: reads a file that the master was told to read.
//!
//! The master has one thread. It must not wait for a FIFO that nobody writes to, and not read a device without end.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longer than any file of rules, variables or certificates.
const LONGEST: u64 = 4 << 20;
/// How long a pipe may keep the master waiting, such as that of `--env-file <(command)`.
const PATIENCE: Duration = Duration::from_secs(2);

/// The contents of a file of up to 4 MiB, or what comes through a pipe within two seconds.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK.bits();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let deadline = Instant::now() + PATIENCE;
    let (mut contents, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        // A file is always readable.
        let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, timeout)? == 0 {
            let text = "it is a pipe, and its end has not come within 2 s";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        match file.read(&mut piece) {
            Ok(0) => return Ok(contents),
            Ok(count) => contents.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if contents.len() as u64 > LONGEST {
            let text = "it is longer than 4 MiB";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn files_and_pipes_are_read_whole_and_nothing_without_end() {
        let folder = std::env::temp_dir().join(format!("oxicorn-bounded-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        let (file, fifo) = (folder.join("file"), folder.join("fifo"));
        let text = "x".repeat(100_000);
        fs::write(&file, &text).expect("written");
        assert_eq!(read_bounded(&file).expect("a file"), text.as_bytes());
        assert_eq!(read_bounded(Path::new("/dev/null")).expect("empty"), b"");
        let kind = |path: &Path| read_bounded(path).expect_err("no file").kind();
        assert_eq!(kind(Path::new("/dev/zero")), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(&folder), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&folder.join("nothing")), io::ErrorKind::NotFound);
        mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        assert_eq!(kind(&fifo), io::ErrorKind::TimedOut);
        // As of `<(command)`.
        let (reader, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"NAME=value").expect("room");
        drop(writer);
        let name = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(
            read_bounded(Path::new(&name)).expect("a pipe"),
            b"NAME=value"
        );
        fs::remove_dir_all(&folder).expect("a folder");
    }
}
