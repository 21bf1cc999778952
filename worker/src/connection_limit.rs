//! The most connections that a worker may have open: as the settings say, or as many as there are descriptors for.
//! To stay below, the worker closes idle ones: that is better for clients than an accept(2) that fails.

use log::debug;
use nix::sys::resource::{Resource, getrlimit};
use oxicorn_common::Settings;

/// Descriptors reserved for the application and for files that the worker opens later.
const OTHERS: usize = 32;

/// For the current state of the process. The application has been loaded.
pub(crate) fn most_connections(settings: &Settings) -> usize {
    let wanted = settings.worker_connections;
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let soft = usize::try_from(soft).unwrap_or(usize::MAX);
    let room = soft.saturating_sub(open + OTHERS + settings.most_threads());
    if room < wanted {
        debug!("no more than {room} connections: {soft} files may be open here (ulimit -n)");
    }
    wanted.min(room.max(1))
}
