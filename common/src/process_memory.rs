//! How much memory a process uses, as the kernel tells (proc_pid_smaps(5), proc_pid_statm(5)).
//!
//! The proportional set size (PSS) divides shared pages among those that share them, so that the sizes of all processes
//! add up. To find it the kernel walks all page tables of the process, which takes milliseconds for a large one: too long
//! for a request. A process may measure itself whatever its user, and another one only with the right to trace it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys;

/// The memory of this process, by the best file that can be read.
#[derive(Debug)]
pub struct OwnMemory {
    folder: PathBuf,
    /// Why `smaps_rollup` cannot be read.
    trouble: Option<io::Error>,
}

impl Default for OwnMemory {
    fn default() -> Self {
        Self::in_folder(Path::new("/proc/self"))
    }
}

impl OwnMemory {
    fn in_folder(folder: &Path) -> Self {
        let folder = folder.to_owned();
        let trouble = None;
        Self { folder, trouble }
    }

    /// What the process uses, in bytes: the PSS, or the resident memory that no file is behind where that cannot be read.
    pub fn read(&mut self) -> Option<u64> {
        if self.trouble.is_none() {
            match pss_in(&self.folder) {
                Ok(pss) => return Some(pss),
                Err(error) => self.trouble = Some(error),
            }
        }
        let (resident, shared) = self.resident()?;
        Some(resident.saturating_sub(shared))
    }

    /// A bound of [`OwnMemory::read`] from above, for a small part of its cost.
    pub fn most(&self) -> Option<u64> {
        self.resident().map(|(resident, _)| resident)
    }

    /// Why the PSS is not what is read, once [`OwnMemory::read`] has found out.
    pub fn trouble(&self) -> Option<&io::Error> {
        self.trouble.as_ref()
    }

    /// Resident memory, and how much of it belongs to files and shared memory.
    fn resident(&self) -> Option<(u64, u64)> {
        let text = fs::read_to_string(self.folder.join("statm")).ok()?;
        let mut fields = text.split_ascii_whitespace().skip(1);
        let mut bytes = || Some(fields.next()?.parse::<u64>().ok()? * sys::page_size());
        Some((bytes()?, bytes()?))
    }
}

/// The PSS of a process in bytes; `None` if there is none such, or it may not be measured.
pub fn pss_of(pid: i32) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    pss_in(Path::new(&format!("/proc/{pid}"))).ok()
}

fn pss_in(folder: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(folder.join("smaps_rollup"))?;
    parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>();
    Some(kilobytes.ok()? * 1024)
}

/// A number of bytes for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MebiBytes(pub u64);

impl fmt::Display for MebiBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 * 10 / (1024 * 1024);
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_some_memory_and_never_more_than_is_resident() {
        let pss = pss_of(std::process::id().cast_signed()).expect("our own");
        assert!(pss > 50_000, "{pss}");
        assert_eq!(pss_of(0), None);
        let mut own = OwnMemory::default();
        let (read, most) = (own.read().expect("read"), own.most().expect("a bound"));
        assert!(own.trouble().is_none());
        assert!(read > 50_000 && read < 2 * most, "{read} of {most}");
    }

    #[test]
    fn without_the_pss_the_anonymous_memory_counts_and_the_reason_is_known() {
        let name = format!("oxicorn-memory-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let mut own = OwnMemory::in_folder(&folder);
        assert_eq!((own.read(), own.most()), (None, None));
        assert!(own.trouble().is_some());
        fs::write(folder.join("statm"), "900 500 200 1 0 300 0\n").expect("a file");
        let page = sys::page_size();
        assert_eq!(own.read(), Some(300 * page));
        assert_eq!(own.most(), Some(500 * page));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_line_is_found() {
        let rollup = "00400000-7ffd rollup\nRss:  900 kB\nPss:       512 kB\nPss_Dirty: 4 kB\n";
        assert_eq!(parse(rollup), Some(512 * 1024));
        assert_eq!(parse("Rss: 900 kB\n"), None);
    }

    #[test]
    fn bytes_are_shown_in_mebibytes() {
        assert_eq!(MebiBytes(0).to_string(), "0.0 MiB");
        assert_eq!(
            MebiBytes(612 * 1024 * 1024 + 900_000).to_string(),
            "612.8 MiB"
        );
    }
}
