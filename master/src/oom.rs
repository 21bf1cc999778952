//! Whether the kernel killed for want of memory: the `oom_kill` counter of our memory cgroup.
//!
//! A process that the out-of-memory killer ends looks like one that was sent SIGKILL. The kernel
//! counts before it kills, so a counter that has grown by the time of the reaping tells them apart.
//! Without a cgroup there is the counter of the whole machine.

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct OomWatch {
    counter: Option<PathBuf>,
    /// The kills that have been laid to a death, or happened before.
    seen: u64,
}

impl OomWatch {
    pub(crate) fn new() -> Self {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let counter = candidates(&cgroups, &mounts)
            .into_iter()
            .chain([PathBuf::from("/proc/vmstat")])
            .find(|path| read_counter(path).is_some());
        let seen = counter.as_deref().and_then(read_counter).unwrap_or(0);
        Self { counter, seen }
    }

    /// Whether there was a kill that no earlier call has answered for.
    pub(crate) fn take(&mut self) -> bool {
        let count = self.counter.as_deref().and_then(read_counter);
        let grown = count.is_some_and(|count| count > self.seen);
        self.seen += u64::from(grown);
        grown
    }

    /// Forgets kills that concern none of our children.
    pub(crate) fn skip(&mut self) {
        if let Some(count) = self.counter.as_deref().and_then(read_counter) {
            self.seen = count;
        }
    }
}

/// The files that may hold the counter, the best first (cgroups(7), the kernel's cgroup-v2.rst
/// and cgroup-v1/memory.rst).
fn candidates(cgroups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (file, mounted) = if controllers.is_empty() {
            ("memory.events", mount_point(mounts, "cgroup2", None))
        } else if controllers.split(',').any(|name| name == "memory") {
            let mounted = mount_point(mounts, "cgroup", Some("memory"));
            ("memory.oom_control", mounted)
        } else {
            continue;
        };
        let Some((root, point)) = mounted else {
            continue;
        };
        // Within a container the path may be the host's, and the mount is our own cgroup.
        let inner = path.strip_prefix(root.as_str()).unwrap_or("");
        files.push(point.join(inner.trim_start_matches('/')).join(file));
        files.push(point.join(file));
    }
    files
}

/// The root and the mount point of a cgroup file system in the text of mountinfo.
fn mount_point(mounts: &str, kind: &str, controller: Option<&str>) -> Option<(String, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let same_kind = file_system.next() == Some(kind);
        let options = file_system.nth(1).unwrap_or_default();
        let controlled = controller.is_none_or(|name| options.split(',').any(|it| it == name));
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (same_kind && controlled).then(|| {
            (
                root.trim_end_matches('/').to_owned(),
                Path::new(point).into(),
            )
        })
    })
}

fn read_counter(path: &Path) -> Option<u64> {
    parse_counter(&fs::read_to_string(path).ok()?)
}

fn parse_counter(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 23 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    const V2: &str = "30 23 0:26 /box /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn both_versions_of_cgroups_are_found() {
        let files = candidates("4:memory:/a/b\n0::/x\n", V1);
        let first = Path::new("/sys/fs/cgroup/memory/a/b/memory.oom_control");
        assert_eq!(files[0], first);
        let files = candidates("0::/box/inner\n", V2);
        let first = Path::new("/sys/fs/cgroup/inner/memory.events");
        assert_eq!(files[0], first);
        let files = candidates("0::/elsewhere\n", V2);
        assert_eq!(files[0], Path::new("/sys/fs/cgroup/memory.events"));
    }

    #[test]
    fn the_counter_is_read_from_each_format() {
        assert_eq!(parse_counter("low 0\noom 1\noom_kill 3\n"), Some(3));
        assert_eq!(
            parse_counter("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
            Some(0)
        );
        assert_eq!(parse_counter("oom_kill_disable 0\n"), None);
    }

    #[test]
    fn each_kill_answers_for_one_death() {
        let directory = std::env::temp_dir().join(format!("oxicorn-oom-{}", std::process::id()));
        fs::write(&directory, "oom_kill 2\n").expect("a file");
        let mut watch = OomWatch {
            counter: Some(directory.clone()),
            seen: 0,
        };
        assert!(watch.take() && watch.take() && !watch.take());
        fs::write(&directory, "oom_kill 5\n").expect("a file");
        watch.skip();
        assert!(!watch.take());
        fs::remove_file(&directory).expect("removed");
    }
}
