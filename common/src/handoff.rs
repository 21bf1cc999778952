//! The socket over which workers pass client connections to their siblings.
//!
//! The master makes it before it forks and never uses it. All workers share both ends: every packet goes into one
//! queue in the kernel, and the first sibling that receives it has the connection (unix(7), `SCM_RIGHTS`). The
//! worker crate decides what a packet contains.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::shared_memory::SharedMemory;

/// Both ends of one nonblocking `AF_UNIX` socket pair that keeps packets whole, and a count of the queue.
#[derive(Debug, Clone)]
pub struct Handoff {
    pub receiver: Arc<OwnedFd>,
    pub sender: Arc<OwnedFd>,
    /// One word: packets in the queue.
    count: SharedMemory,
}

impl Handoff {
    pub fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (receiver, sender) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok(Self {
            receiver: Arc::new(receiver),
            sender: Arc::new(sender),
            count: SharedMemory::new(1)?,
        })
    }

    /// Whether there is probably something to receive, without a system call. A process that dies between a
    /// packet and its count makes the answer wrong until [`Handoff::note_empty`].
    pub fn may_hold_any(&self) -> bool {
        self.count().load(Ordering::SeqCst) > 0
    }

    /// How many packets there probably are.
    pub fn queued(&self) -> u64 {
        self.count().load(Ordering::Relaxed)
    }

    /// To be called before a packet is sent.
    pub fn note_sent(&self) {
        self.count().fetch_add(1, Ordering::SeqCst);
    }

    /// To be called when a packet has been received, or could not be sent.
    pub fn note_received(&self) {
        let less_one = |count: u64| count.checked_sub(1);
        let _ = self
            .count()
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less_one);
    }

    /// To be called when the queue is empty although the count says otherwise. A packet that is being sent at
    /// that moment is found by the worker that it wakes.
    pub fn note_empty(&self) {
        self.count().store(0, Ordering::SeqCst);
    }

    fn count(&self) -> &AtomicU64 {
        &self.count[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{read, write};

    #[test]
    fn packets_stay_whole_and_nobody_waits() {
        let handoff = Handoff::new().expect("a socket pair");
        let mut packet = [0; 16];
        assert!(read(&*handoff.receiver, &mut packet).is_err());
        write(&*handoff.sender, b"one").expect("a write");
        write(&*handoff.sender, b"two").expect("a write");
        assert_eq!(read(&*handoff.clone().receiver, &mut packet), Ok(3));
        assert_eq!(read(&*handoff.receiver, &mut packet), Ok(3));
    }

    #[test]
    fn the_count_never_falls_below_nothing() {
        let handoff = Handoff::new().expect("a socket pair");
        assert!(!handoff.may_hold_any());
        handoff.note_sent();
        handoff.clone().note_sent();
        handoff.note_received();
        assert!(handoff.may_hold_any());
        handoff.note_empty();
        handoff.note_received();
        assert!(!handoff.may_hold_any());
    }
}
