//! What code in a worker may do to what the processes of a server share.
#![allow(
    unsafe_code,
    reason = "it writes to memory that is not its own, on purpose"
)]

use std::ffi::c_void;
use std::fs;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::mman::{ProtFlags, mprotect};
use nix::sys::socket::{ControlMessage, MsgFlags, SockType, getsockopt, sendmsg, sockopt};
use oxicorn_common::scoreboard::{FIRST_SLOT, SLOT_WORDS, Slot, SlotState};

/// Writes to the slots of the siblings, `what` and for `ms`; `what=plain` without lifting their
/// protection first.
pub(crate) fn begin(query: &str, own: usize) -> String {
    let what = super::word(query, "what").to_owned();
    let end = Instant::now() + Duration::from_millis(super::value(query, "ms", 0));
    let (start, length) = scoreboard();
    let first = start + FIRST_SLOT * size_of::<AtomicU64>();
    if what != "plain" {
        let address = NonNull::new(start as *mut c_void).expect("a mapping");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a mapping of this process.
        unsafe { mprotect(address, length, protection) }.expect("it was writable once");
    }
    type Words = [AtomicU64; SLOT_WORDS];
    thread::spawn(move || {
        while Instant::now() < end {
            for index in (0..8).filter(|&index| index != own) {
                let address = first + index * size_of::<Words>();
                // SAFETY: the mapping has that many slots, each of atomics only.
                let slot = Slot::new(unsafe { &*(address as *const Words) }, 0);
                match what.as_str() {
                    "future" => slot.set_heartbeat(1 << 63),
                    "draining" => slot.set_state(SlotState::Draining),
                    _ => slot.set_heartbeat(1),
                }
            }
            thread::yield_now();
        }
    });
    "begun".to_owned()
}

/// The largest mapping that processes share: its lines differ by what may be done with the parts.
fn scoreboard() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").expect("proc is mounted");
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    for line in maps
        .lines()
        .filter(|line| line.contains("/dev/zero") || line.contains("/memfd:"))
    {
        let mut words = line.split_whitespace();
        let range = words.next().and_then(|it| it.split_once('-'));
        let inode = words.nth(3).expect("an inode");
        let (start, end) = range.expect("a range");
        let number = |text| usize::from_str_radix(text, 16).expect("an address");
        let (start, end) = (number(start), number(end));
        match found.last_mut() {
            Some((of, _, last)) if *of == inode && *last == start => *last = end,
            _ => found.push((inode, start, end)),
        }
    }
    let largest = found.into_iter().max_by_key(|(_, start, end)| end - start);
    let (_, start, end) = largest.expect("a mapping");
    (start, end - start)
}

/// Writes to every socket that keeps packets whole what no worker writes there: nothing, too little,
/// descriptors of the wrong kind. Says how much.
pub(crate) fn send_rubbish() -> usize {
    let fds = fs::read_dir("/proc/self/fd").expect("proc is mounted");
    let fds: Vec<RawFd> = fds
        .flatten()
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect();
    let is_packets = |&fd: &RawFd| {
        // SAFETY: borrowed for a call that fails where nothing is open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        getsockopt(&fd, sockopt::SockType).is_ok_and(|it| it == SockType::SeqPacket)
    };
    let packets: [(&[u8], Vec<RawFd>); 5] = [
        (b"", vec![]),
        (b"x", vec![1]),
        (&[1; 100], vec![1]),
        (&[1; 100], vec![1; 3]),
        (&[0xff; 15000], vec![0, 1, 2]),
    ];
    let mut sent = 0;
    for fd in fds.into_iter().filter(is_packets) {
        for (bytes, rights) in &packets {
            let control = [ControlMessage::ScmRights(rights)];
            let control = if rights.is_empty() { &[] } else { &control[..] };
            let parts = [IoSlice::new(bytes)];
            let outcome = sendmsg::<()>(fd, &parts, control, MsgFlags::MSG_DONTWAIT, None);
            sent += usize::from(outcome.is_ok());
        }
    }
    sent
}
