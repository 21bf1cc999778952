//! What the lab keeps for ever: files and memory.

use std::fs::File;
use std::sync::Mutex;

/// Opens so many files and keeps them; tells how many there were descriptors for.
pub(crate) fn files(count: usize) -> usize {
    static FILES: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let opened: Vec<File> = (0..count)
        .map_while(|_| File::open("/dev/null").ok())
        .collect();
    let count = opened.len();
    FILES.lock().expect("no panic").extend(opened);
    count
}

/// Keeps so many more MiB, and tells the process.
pub(crate) fn memory(mib: usize) -> u32 {
    static MEMORY: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    // Written to, so that the pages are there.
    let more = vec![7; mib << 20];
    MEMORY.lock().expect("no panic").push(more);
    std::process::id()
}
