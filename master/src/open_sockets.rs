//! [`OpenSockets`]: which sockets this process has, to find those that an application leaves open.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::RawFd;

use oxicorn_common::logging;

use crate::sys;

/// The open sockets of this process: a descriptor for each, by the kernel's number of the socket.
#[derive(Debug, Default)]
pub(crate) struct OpenSockets(BTreeMap<u64, RawFd>);

impl OpenSockets {
    pub(crate) fn now() -> Self {
        let found = fs::read_dir("/proc/self/fd").into_iter().flatten();
        let sockets = found.flatten().filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            let number = target.to_str()?.strip_prefix("socket:[")?;
            let descriptor = entry.file_name().to_str()?.parse().ok()?;
            Some((number.strip_suffix(']')?.parse().ok()?, descriptor))
        });
        Self(sockets.collect())
    }

    /// Connections and listening sockets that are new since `before`, in words.
    pub(crate) fn opened_since(&self, before: &Self) -> Vec<String> {
        let log = logging::connection();
        let new = self
            .0
            .iter()
            .filter(|(number, _)| !before.0.contains_key(number));
        let theirs = new.filter(|(_, descriptor)| Some(**descriptor) != log);
        theirs
            .filter_map(|(_, &fd)| sys::describe_connection(fd))
            .collect()
    }
}
