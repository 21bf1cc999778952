//! Inspects processes through `/proc` (proc(5)).

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process by its number, alive or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process(pub(crate) i32);

impl Process {
    pub(crate) fn signal(self, signal: Signal) {
        kill(Pid::from_raw(self.0), signal).unwrap_or_else(|errno| {
            panic!("cannot send {signal} to {}: {errno}", self.0);
        });
    }

    /// Whether it runs: neither gone nor a zombie.
    pub(crate) fn is_alive(self) -> bool {
        self.stat().is_some_and(|stat| stat.state != 'Z')
    }

    /// Its running children, in the order of their numbers.
    pub(crate) fn children(self) -> Vec<Self> {
        all()
            .into_iter()
            .filter(|it| {
                it.stat()
                    .is_some_and(|stat| stat.parent == self.0 && stat.state != 'Z')
            })
            .collect()
    }

    /// How many of its children have ended and wait to be reaped.
    pub(crate) fn zombies(self) -> usize {
        let is_zombie = |it: &Self| {
            it.stat()
                .is_some_and(|stat| stat.parent == self.0 && stat.state == 'Z')
        };
        all().iter().filter(|it| is_zombie(it)).count()
    }

    /// The processes of the group that it leads or has led.
    pub(crate) fn group(self) -> Vec<Self> {
        all()
            .into_iter()
            .filter(|it| it.stat().is_some_and(|stat| stat.group == self.0))
            .collect()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).map_or(0, Iterator::count)
    }

    /// Its descriptors, for messages.
    pub(crate) fn describe_descriptors(self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.0)) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .map(|target| target.display().to_string())
            .collect()
    }

    /// The pipes, sockets, eventfds and files that it has open, with their access modes. Two processes that share one
    /// have the same text for it. Other descriptors, such as epoll instances, have no name and are left out.
    pub(crate) fn open_files(self) -> BTreeSet<String> {
        let fds = fs::read_dir(format!("/proc/{}/fd", self.0)).expect("a living process");
        let fds = fds.flatten().filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let number = entry.file_name().into_string().ok()?;
            let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.0)).ok()?;
            let field =
                |name: &str| Some(info.lines().find_map(|it| it.strip_prefix(name))?.trim());
            let name = match target.to_str()? {
                "anon_inode:[eventfd]" => format!("eventfd:[{}]", field("eventfd-id:")?),
                anonymous if anonymous.starts_with("anon_inode:") => return None,
                named => named.to_owned(),
            };
            // The last octal digit is the access mode (open(2)).
            let access = field("flags:")?.bytes().last()? & 3;
            Some(format!(
                "{name} {}",
                ["r", "w", "rw"].get(usize::from(access))?
            ))
        });
        fds.collect()
    }

    /// Its proportional share of the memory that it uses, in KiB (proc_pid_smaps(5)).
    pub(crate) fn pss_kib(self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.0);
        let text = fs::read_to_string(path).expect("a living process");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let figure = line.and_then(|line| line.trim().split(' ').next());
        figure.and_then(|kib| kib.parse().ok()).expect("a figure")
    }

    /// A line of `status` in KiB, such as `VmRSS`.
    pub(crate) fn kib(self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        number_in(&status, line)
    }

    /// A line of `status` as text, such as `Uid`.
    pub(crate) fn status(self, line: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        status
            .lines()
            .find_map(|it| it.strip_prefix(line)?.strip_prefix(':'))
            .map(|rest| rest.trim().to_owned())
            .unwrap_or_default()
    }

    /// How often its threads have gone to sleep.
    pub(crate) fn voluntary_switches(self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0));
        let statuses = tasks.into_iter().flatten().flatten().map(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            number_in(&status, "voluntary_ctxt_switches")
        });
        statuses.sum()
    }

    /// The processor time that it has used, in ticks of a hundredth of a second (proc_pid_stat(5)).
    pub(crate) fn processor_ticks(self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        let fields = text.rsplit_once(')').map_or("", |it| it.1);
        let times = fields.split_whitespace().skip(11).take(2);
        times.filter_map(|it| it.parse::<u64>().ok()).sum()
    }

    pub(crate) fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.0)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
        text.trim().to_owned()
    }

    fn stat(self) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name in brackets may itself contain spaces and brackets.
        let mut rest = text.rsplit_once(')')?.1.split_whitespace();
        Some(Stat {
            state: rest.next()?.chars().next()?,
            parent: rest.next()?.parse().ok()?,
            group: rest.next()?.parse().ok()?,
        })
    }
}

struct Stat {
    state: char,
    parent: i32,
    group: i32,
}

/// The number in a line of `status`; 0 if there is none.
fn number_in(status: &str, line: &str) -> u64 {
    status
        .lines()
        .filter_map(|it| it.strip_prefix(line)?.strip_prefix(':'))
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn all() -> Vec<Process> {
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .expect("proc is mounted")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Process))
        .collect();
    found.sort();
    found
}
