//! Memory that the master and all of its children share: a row of 64-bit words that each of them may read
//! and write at any time.
//!
//! ```text
//!   master   SharedMemory::new(n)      n words, all 0
//!     |
//!     +--fork--> child, child, ..      the same words at the same address
//!     |
//!     +--exec--> another master        SharedMemory::inherited, where the memory is `inheritable`
//! ```
//!
//! The scoreboard, the count of handed-over connections and the lost log lines live here; each names its
//! words itself. There are plain words only, because a pointer, a lock or a length that one process writes
//! must not lead another astray: whatever a child writes, the others read a number.
#![allow(unsafe_code, reason = "mmap and mprotect have no safe interface")]

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{
    MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

/// The words of one mapping. Clones and forked copies are the same memory, which is unmapped with the last
/// clone of each process.
#[derive(Clone)]
pub struct SharedMemory(Arc<Mapping>);

struct Mapping {
    first: NonNull<AtomicU64>,
    count: NonZeroUsize,
}

// SAFETY: a mapping belongs to the process and not to a thread, so any thread may use it and unmap it.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives access to atomics only.
unsafe impl Sync for Mapping {}

impl SharedMemory {
    /// Maps `count` words, all 0. Pages that nobody touches take no memory; reading counts as touching.
    pub fn new(count: usize) -> io::Result<Self> {
        let (count, length) = size_of_words(count)?;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let first = unsafe { mmap_anonymous(None, length, PROTECTION, FLAGS) }?;
        Ok(Self::of(first.cast(), count))
    }

    /// As [`SharedMemory::new`], with a descriptor by which another program can map the same words. The descriptor is
    /// closed on exec, as any other. `None`: this system makes no such file, so nobody can inherit the words.
    pub fn inheritable(count: usize) -> io::Result<(Self, Option<OwnedFd>)> {
        let (_, length) = size_of_words(count)?;
        match file_in_memory(length) {
            Some(file) => Ok((Self::inherited(&file, count)?, Some(file))),
            None => Ok((Self::new(count)?, None)),
        }
    }

    /// Maps the words of another process, by the descriptor of [`SharedMemory::inheritable`]. Fails if there are not
    /// exactly `count`.
    pub fn inherited(file: impl AsFd, count: usize) -> io::Result<Self> {
        let (count, length) = size_of_words(count)?;
        let found = fstat(&file)?.st_size;
        if usize::try_from(found) != Ok(length.get()) {
            return Err(Errno::EINVAL.into());
        }
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing. The file is as long as the
        // mapping.
        let first = unsafe { mmap(None, length, PROTECTION, FLAGS, file, 0) }?;
        Ok(Self::of(first.cast(), count))
    }

    fn of(first: NonNull<AtomicU64>, count: NonZeroUsize) -> Self {
        Self(Arc::new(Mapping { first, count }))
    }

    /// A core file of this process, or of its children, has none of the words (madvise(2)).
    pub(crate) fn leave_out_of_core_files(&self) {
        let length = size_of_val(&**self);
        // SAFETY: the range is the mapping, whose contents stay as they are.
        let _ = unsafe { madvise(self.0.first.cast(), length, MmapAdvise::MADV_DONTDUMP) };
    }

    /// Makes all words read-only for this process, except a range that begins and ends with a page. Writing
    /// to another word then kills the process with SIGSEGV.
    pub fn protect_all_but(&self, writable: Range<usize>) -> io::Result<()> {
        let (read, write) = (ProtFlags::PROT_READ, ProtFlags::PROT_WRITE);
        // A fork of a process that was confined may write to its own words only after that.
        let parts = [
            (0..writable.start, read),
            (writable.end..self.len(), read),
            (writable, read | write),
        ];
        for (part, protection) in parts {
            if part.is_empty() {
                continue;
            }
            let words = self.get(part).ok_or(Errno::EINVAL)?;
            let start = NonNull::from(words).cast();
            // SAFETY: the words are part of the mapping, which stays where it is and stays readable, so
            // references to it remain valid.
            unsafe { mprotect(start, size_of_val(words), protection)? };
        }
        Ok(())
    }
}

impl Deref for SharedMemory {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        let Mapping { first, count } = *self.0;
        // SAFETY: the mapping has room for `count` words, begins with a page and so is aligned, and lives
        // until drop. The kernel has filled it with zeros, and any bits are a valid AtomicU64. Other
        // processes change the words while the slice exists, which atomics allow: each accesses whole
        // words of the same size only.
        unsafe { slice::from_raw_parts(first.as_ptr(), count.get()) }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({} words)", self.len())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let length = self.count.get() * size_of::<AtomicU64>();
        // SAFETY: address and length are those of mmap, and no reference outlives the last clone.
        let _ = unsafe { munmap(self.first.cast(), length) };
    }
}

const PROTECTION: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);
const FLAGS: MapFlags = MapFlags::MAP_SHARED.union(MapFlags::MAP_NORESERVE);

/// The number of words, and of their bytes.
fn size_of_words(count: usize) -> io::Result<(NonZeroUsize, NonZeroUsize)> {
    let length = count.checked_mul(size_of::<AtomicU64>());
    let length = length.and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
    Ok((NonZeroUsize::new(count).ok_or(Errno::EINVAL)?, length))
}

/// A file without a name, full of zeros (memfd_create(2)).
fn file_in_memory(length: NonZeroUsize) -> Option<OwnedFd> {
    let length = libc::off_t::try_from(length.get()).ok()?;
    // Making a file longer than RLIMIT_FSIZE would kill the process.
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    if u64::try_from(length).ok()? > limit {
        return None;
    }
    let file = memfd_create(c"oxicorn-shared", MFdFlags::MFD_CLOEXEC).ok()?;
    ftruncate(&file, length).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use nix::sys::signal::Signal;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    const PAGE: usize = 512;

    #[test]
    fn a_child_writes_to_the_same_words_but_for_those_that_are_protected() {
        let memory = SharedMemory::new(3 * PAGE).expect("a mapping");
        assert!(memory.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        // SAFETY: the child makes system calls and writes to words, and allocates nothing.
        let ForkResult::Parent { child } = unsafe { fork() }.expect("a child") else {
            // No core file of a crash that is meant.
            let _ = nix::sys::prctl::set_dumpable(false);
            let confined = memory.protect_all_but(PAGE..2 * PAGE).is_ok();
            memory[2 * PAGE - 1].store(u64::from(confined), Ordering::Relaxed);
            memory[2 * PAGE].store(1, Ordering::Relaxed);
            // SAFETY: ends the child without the exit handlers of the test harness.
            unsafe { libc::_exit(0) };
        };
        let ended = waitpid(child, None).expect("its end");
        assert!(
            matches!(ended, WaitStatus::Signaled(_, Signal::SIGSEGV, _)),
            "{ended:?}"
        );
        assert_eq!(memory[2 * PAGE - 1].load(Ordering::Relaxed), 1);
        assert_eq!(memory[2 * PAGE].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn clones_are_the_same_memory() {
        let memory = SharedMemory::new(1).expect("a mapping");
        let clone = memory.clone();
        drop(memory.clone());
        clone[0].store(7, Ordering::Relaxed);
        assert_eq!(memory[0].load(Ordering::Relaxed), 7);
    }

    #[test]
    fn who_has_the_descriptor_has_the_same_words() {
        let (memory, file) = SharedMemory::inheritable(PAGE).expect("a mapping");
        let file = file.expect("memfd_create(2)");
        let other = SharedMemory::inherited(&file, PAGE).expect("a mapping");
        memory[PAGE - 1].store(7, Ordering::Relaxed);
        assert_eq!(other[PAGE - 1].load(Ordering::Relaxed), 7);
        drop(memory);
        assert_eq!(other[PAGE - 1].load(Ordering::Relaxed), 7);
        for count in [PAGE - 1, PAGE + 1] {
            assert!(SharedMemory::inherited(&file, count).is_err(), "{count}");
        }
    }

    #[test]
    fn no_words_and_too_many_are_refused() {
        for count in [0, usize::MAX, usize::MAX / 8] {
            assert!(SharedMemory::new(count).is_err(), "{count}");
        }
        let memory = SharedMemory::new(PAGE).expect("a mapping");
        assert!(memory.protect_all_but(2 * PAGE..3 * PAGE).is_err());
    }
}
