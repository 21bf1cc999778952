//! Finds the files of this process's control groups (cgroups(7), the kernel's cgroup-v2.rst and cgroup-v1).

use std::fs;
use std::path::{Path, PathBuf};

/// The places where a file of `controller` may be, the best first. `unified` is its name in version 2 of control
/// groups, `first` in version 1.
pub fn files(controller: &str, unified: &str, first: &str) -> Vec<PathBuf> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    candidates(&cgroups, &mounts, controller, unified, first)
}

/// The memory in bytes that the control group of this process may use, or that the machine has if that is less or there
/// is no limit. `None` if the system does not tell.
pub fn usable_memory() -> Option<u64> {
    let files = files("memory", "memory.max", "memory.limit_in_bytes").into_iter();
    let limits = files.flat_map(|file| {
        let name = file.file_name().map(ToOwned::to_owned);
        let groups: Vec<PathBuf> = file.ancestors().skip(1).map(Path::to_owned).collect();
        // A limit of a group above holds too.
        let files = groups
            .into_iter()
            .filter_map(move |group| Some(group.join(name.as_ref()?)));
        files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
    });
    limits.chain(machine_memory()).min()
}

fn machine_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn candidates(
    cgroups: &str,
    mounts: &str,
    controller: &str,
    unified: &str,
    first: &str,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (file, mounted) = if controllers.is_empty() {
            (unified, mount_point(mounts, "cgroup2", None))
        } else if controllers.split(',').any(|name| name == controller) {
            (first, mount_point(mounts, "cgroup", Some(controller)))
        } else {
            continue;
        };
        let Some((root, point)) = mounted else {
            continue;
        };
        // In a container the path may be the host's, while the mount is the container's own cgroup.
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

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 23 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    const V2: &str = "30 23 0:26 /box /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn both_versions_of_cgroups_are_found() {
        let names = ("memory", "memory.events", "memory.oom_control");
        let found =
            |cgroups, mounts| candidates(cgroups, mounts, names.0, names.1, names.2).remove(0);
        let first = Path::new("/sys/fs/cgroup/memory/a/b/memory.oom_control");
        assert_eq!(found("4:memory:/a/b\n0::/x\n", V1), first);
        let first = Path::new("/sys/fs/cgroup/inner/memory.events");
        assert_eq!(found("0::/box/inner\n", V2), first);
        let first = Path::new("/sys/fs/cgroup/memory.events");
        assert_eq!(found("0::/elsewhere\n", V2), first);
    }
}
