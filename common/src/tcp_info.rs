//! What the kernel knows of TCP sockets.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys;

/// The number of connections that wait at a listening socket: its `tcpi_unacked`. `None` for sockets for which the kernel
/// does not tell: all but TCP.
pub fn listen_backlog(listener: impl AsFd) -> Option<u64> {
    sys::tcp_info(listener).map(|info| info.tcpi_unacked.into())
}

/// How long ago the client's last octets have come, as exactly as the kernel's timer ticks: a few milliseconds. `None` as
/// above.
pub fn since_last_data(socket: impl AsFd) -> Option<Duration> {
    sys::tcp_info(socket).map(|info| Duration::from_millis(info.tcpi_last_data_recv.into()))
}

/// How long ago its last segment has come, with octets or without: as exactly, and `None` for the same sockets.
pub fn since_last_segment(socket: impl AsFd) -> Option<Duration> {
    // Each acknowledges.
    sys::tcp_info(socket).map(|info| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}
