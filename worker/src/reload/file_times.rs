//! Times and sizes of the watched files as they were last seen, to find those that have changed since.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Shows that the content differs: an editor may replace a file, an archive may restore an old time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileTime {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

#[derive(Debug, Default)]
pub(super) struct FileTimes(HashMap<PathBuf, Option<FileTime>>);

/// A file that has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodeChange {
    pub(super) path: PathBuf,
    /// The time in nanoseconds at which the last of all changed files was written, by the file system: the same
    /// for all workers that see the same change, and never less for a later one.
    pub(super) stamp: u64,
}

impl FileTimes {
    /// Adds the files that were not known yet, in their present state.
    pub(super) fn add(&mut self, paths: Vec<PathBuf>) {
        for path in paths {
            self.0
                .entry(path)
                .or_insert_with_key(|path| Some(look(path)?.0));
        }
    }

    /// The file that was written last, if any file has changed. Missing files do not count: they are about to
    /// come back, or nobody can load them any more.
    pub(super) fn changed(&mut self) -> Option<CodeChange> {
        let mut latest: Option<CodeChange> = None;
        for (path, known) in &mut self.0 {
            let Some((stamp, written)) = look(path) else {
                continue;
            };
            if known.replace(stamp) == Some(stamp) {
                continue;
            }
            if latest.as_ref().is_none_or(|it| it.stamp < written) {
                latest = Some(CodeChange {
                    path: path.clone(),
                    stamp: written,
                });
            }
        }
        latest
    }
}

/// The file's state, and the time of its last change of any kind (inode(7), `st_ctim`).
fn look(path: &Path) -> Option<(FileTime, u64)> {
    let it = fs::metadata(path).ok().filter(|it| it.is_file())?;
    let stamp = FileTime {
        modified: (it.mtime(), it.mtime_nsec()),
        size: it.size(),
        inode: it.ino(),
    };
    let nanos = i128::from(it.ctime()) * 1_000_000_000 + i128::from(it.ctime_nsec());
    Some((stamp, u64::try_from(nanos).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_file_is_a_change() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let mut file_times = FileTimes::default();
        fs::write(path("a"), "one").expect("a file");
        file_times.add(vec![path("a"), path("late")]);
        assert_eq!(file_times.changed(), None);
        fs::write(path("a"), "three").expect("a file");
        let change = file_times.changed().expect("it is longer");
        assert_eq!(change.path, path("a"));
        assert_eq!(file_times.changed(), None);
        fs::write(path("b"), "seven").expect("a file");
        fs::rename(path("b"), path("a")).expect("as an editor does");
        let again = file_times.changed().expect("it is another");
        assert!(again.stamp >= change.stamp);
        fs::remove_file(path("a")).expect("gone");
        assert_eq!(file_times.changed(), None, "it may come back");
        fs::write(path("a"), "eleven").expect("back");
        assert_eq!(file_times.changed().map(|it| it.path), Some(path("a")));
        fs::write(path("late"), "").expect("a file that was waited for");
        assert_eq!(file_times.changed().map(|it| it.path), Some(path("late")));
    }
}
