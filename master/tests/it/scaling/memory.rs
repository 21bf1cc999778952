//! No worker is added for which the control group has no memory.

use std::fs;
use std::process::Command;

use super::{CLIENTS, elastic, load, wait_for_most};
use crate::upgrade::NewMaster;

/// Runs the server with files of this directory in place of those of the control groups: a mount namespace of its own.
const MOUNT: &str = "mount --bind \"$0\" /sys/fs/cgroup && exec \"$@\"";

#[test]
fn a_full_control_group_gets_no_more_workers_until_it_has_room() {
    let mut own_mounts = Command::new("unshare");
    let may_mount = own_mounts.args(["--mount", "true"]).output();
    if !may_mount.is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: no mounts of our own");
        return;
    }
    let builder = elastic("scaling-memory");
    let groups = builder.dir().join("groups");
    // Where the control group is within its mount, in both versions.
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let mount = mounts.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let is_memory = system.starts_with("cgroup2 ") || system.ends_with("memory");
        let point = mount.split(' ').nth(4)?.strip_prefix("/sys/fs/cgroup")?;
        is_memory.then(|| point.trim_start_matches('/').to_owned())
    });
    let Some(mount) = mount else {
        eprintln!("skipped: no control groups");
        return;
    };
    let group = groups.join(mount);
    fs::create_dir_all(&group).expect("a directory");
    let set_limit = |mib: u64| {
        let text = format!("{}\n", mib << 20);
        for name in ["memory.max", "memory.limit_in_bytes"] {
            // A reader sees the old or the new one.
            let draft = group.join("draft");
            fs::write(&draft, &text).expect("a file");
            fs::rename(&draft, group.join(name)).expect("renamed");
        }
    };
    for name in ["memory.current", "memory.usage_in_bytes"] {
        fs::write(group.join(name), "104857600\n").expect("a file");
    }
    set_limit(110);
    let directory = groups.display().to_string();
    let server = builder
        .under(&["unshare", "--mount", "sh", "-c", MOUNT, &directory])
        .start();
    let load = load(&server);
    let line = "Workers stay at 1: another one needs about ";
    let line = server.log().wait_for(line);
    let figures = "MiB, and the control group uses 100 of 110 MiB, of which 11 stay free";
    assert!(line.contains(figures), "{line}");
    load.wait_for_more(2 * CLIENTS as u64);
    assert_eq!(
        (server.children().len(), server.log().count("Scaling up")),
        (1, 0)
    );
    set_limit(4000);
    wait_for_most(&server);
    assert_eq!(server.log().count("Workers stay at"), 1, "it is said once");
    // There is no room for a second set of workers: an upgrade begins with `workers`.
    set_limit(110);
    let new_master = NewMaster::start_booting(&server);
    server.log().wait_for(") serves");
    assert_eq!(new_master.0.children().len(), 1);
    load.wait_for_more(2 * CLIENTS as u64);
    new_master.end();
    load.wait_for_more(2 * CLIENTS as u64);
    load.stop().assert_perfect();
}
