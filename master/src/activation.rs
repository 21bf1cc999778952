//! Sockets that systemd has opened for this server: descriptors from 3 on (sd_listen_fds(3)).

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::RawFd;

use crate::sys;

const FIRST: RawFd = 3;

/// The descriptors that systemd meant for this process. Children do not inherit the variables.
pub(crate) fn descriptors(environment: &BTreeMap<String, String>) -> Range<RawFd> {
    let meant = count(environment, std::process::id());
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        sys::remove_variable(name);
    }
    FIRST..FIRST + meant
}

fn count(environment: &BTreeMap<String, String>, own_pid: u32) -> RawFd {
    let number = |name| environment.get(name)?.parse::<u32>().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == own_pid => RawFd::try_from(count).unwrap_or(0).min(1024),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_meant_for_another_process_are_not_ours() {
        let variables = [("LISTEN_PID", "42"), ("LISTEN_FDS", "2")];
        let environment = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(count(&environment, 42), 2);
        assert_eq!(count(&environment, 43), 0);
        assert_eq!(count(&BTreeMap::new(), 42), 0);
    }
}
