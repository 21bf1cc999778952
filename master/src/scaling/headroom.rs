//! How many more workers there is memory for. The control group, those above it, and the machine: the one with the
//! least left counts. A part of it stays free, because workers grow after their start.
//!
//! Read only when workers are to be added: some files of /proc and the control group, none of which takes long.

use std::fs;
use std::path::{Path, PathBuf};

use oxicorn_common::cgroup;
use oxicorn_common::scoreboard::{Scoreboard, SlotKind};

/// The names of files in version 2 of control groups, and in version 1.
const LIMIT: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];
const USED: [&str; 2] = ["memory.current", "memory.usage_in_bytes"];
/// The line of memory.stat for pages of files that the kernel takes back first.
const RECLAIMABLE: [&str; 2] = ["inactive_file ", "total_inactive_file "];

/// No worker is smaller.
const SMALLEST: u64 = 1 << 20;

/// Memory that processes share, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Headroom {
    limit: u64,
    used: u64,
    /// Of a control group, in which most processes are the server's own.
    is_group: bool,
}

/// What there is memory for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WorkerRoom {
    pub(super) workers: usize,
    /// For the log.
    pub(super) figures: String,
}

impl WorkerRoom {
    /// For workers like those that there are. `None` if the system does not tell.
    pub(super) fn read(scoreboard: &Scoreboard) -> Option<Self> {
        let claimed = scoreboard.claimed();
        let workers = claimed.filter(|(_, claim, _)| claim.kind() == Some(SlotKind::Worker));
        let pids: Vec<i32> = workers.map(|(_, claim, _)| claim.pid()).collect();
        let largest = pids.iter().filter_map(|&pid| own_memory(pid)).max()?;
        Some(Headroom::read()?.room(largest, pids.len()))
    }
}

impl Headroom {
    fn read() -> Option<Self> {
        let files = cgroup::files("memory", LIMIT[0], LIMIT[1]);
        let groups = files.iter().flat_map(|file| file.ancestors().skip(1));
        let groups = groups.filter_map(Self::of_group);
        groups.chain(Self::of_machine()).min_by_key(Self::left)
    }

    fn of_group(group: &Path) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(group.join(name)).ok();
        (0..2).find_map(|version| {
            let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
            let (limit, used) = (number(LIMIT[version])?, number(USED[version])?);
            let stat = read("memory.stat").unwrap_or_default();
            let mut lines = stat.lines();
            let files = lines.find_map(|line| line.strip_prefix(RECLAIMABLE[version]));
            let files = files.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
            Some(Self {
                limit,
                used: used.saturating_sub(files),
                is_group: true,
            })
        })
    }

    fn of_machine() -> Option<Self> {
        let text = fs::read_to_string(PathBuf::from("/proc/meminfo")).ok()?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kilobytes * 1024)
        };
        let limit = bytes("MemTotal:")?;
        Some(Self {
            limit,
            used: limit.saturating_sub(bytes("MemAvailable:")?),
            is_group: false,
        })
    }

    /// What stays free.
    fn reserve(&self) -> u64 {
        match self.is_group {
            true => self.limit / 10,
            false => self.limit / 50,
        }
    }

    /// What may still be used.
    fn left(&self) -> u64 {
        (self.limit - self.reserve()).saturating_sub(self.used)
    }

    /// For workers that each have this much memory of their own at most. Memory that they share with each other counts
    /// once in the group, so none costs more than an equal part of all that is used.
    fn room(self, largest: u64, workers: usize) -> WorkerRoom {
        let cost = match self.is_group {
            true => largest.min(self.used / workers.max(1) as u64),
            false => largest,
        };
        let cost = cost.max(SMALLEST);
        let whose = match self.is_group {
            true => "the control group",
            false => "the machine",
        };
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        WorkerRoom {
            workers: usize::try_from(self.left() / cost).unwrap_or(usize::MAX),
            figures: format!(
                "another one needs about {} MiB, and {whose} uses {} of {} MiB, of which {} stay free",
                mib(cost),
                mib(self.used),
                mib(self.limit),
                mib(self.reserve()),
            ),
        }
    }
}

/// What a process does not share with files or shared memory, in bytes (proc_pid_statm(5)).
fn own_memory(pid: i32) -> Option<u64> {
    if pid <= 0 {
        return None;
    }
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared).saturating_mul(page_size()))
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    size.ok().flatten().map_or(4096, i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        for version in 0..2 {
            let group = tempfile::TempDir::new().expect("a directory");
            let write = |name: &str, text: &str| {
                fs::write(group.path().join(name), text).expect("a file");
            };
            write(USED[version], "600\n");
            assert_eq!(Headroom::of_group(group.path()), None);
            write(LIMIT[version], "1000\n");
            let stat = [
                "inactive_file 200\n",
                "inactive_file 1\ntotal_inactive_file 200\n",
            ];
            write("memory.stat", stat[version]);
            let headroom = Headroom::of_group(group.path()).expect("a group");
            assert_eq!((headroom.used, headroom.left()), (400, 500));
            write(LIMIT[version], "max\n");
            assert_eq!(Headroom::of_group(group.path()), None, "no limit");
        }
    }

    #[test]
    fn a_worker_costs_no_more_than_an_equal_part() {
        let group = Headroom {
            limit: 1000 * MIB,
            used: 600 * MIB,
            is_group: true,
        };
        let room = group.room(400 * MIB, 4);
        assert_eq!(room.workers, 2, "300 MiB, at 150 each");
        let expected = "another one needs about 150 MiB, and the control group uses 600 of 1000 MiB, of which 100 \
                        stay free";
        assert_eq!(room.figures, expected);
        assert_eq!(group.room(100 * MIB, 4).workers, 3);
        let machine = Headroom {
            is_group: false,
            ..group
        };
        assert_eq!(machine.room(400 * MIB, 4).workers, 0, "380 MiB are left");
        let full = Headroom {
            used: 950 * MIB,
            ..group
        };
        assert_eq!(full.room(MIB, 4).workers, 0);
    }

    #[test]
    fn this_process_and_this_machine_have_memory() {
        let pid = std::process::id().cast_signed();
        assert!(own_memory(pid).is_some_and(|it| it > 100_000) && own_memory(0).is_none());
        let headroom = Headroom::read().expect("a machine");
        assert!(headroom.limit > headroom.used);
    }
}
