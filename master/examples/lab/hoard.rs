//! What the lab keeps for ever: files and memory.

use std::fs::File;
use std::net::TcpStream;
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

static MEMORY: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// How many MiB this process has kept, or the one that it was forked from.
pub(crate) fn kept() -> usize {
    let pieces = MEMORY.lock().expect("no panic");
    pieces.iter().map(|piece| piece.len() >> 20).sum()
}

/// Keeps so many more MiB, and tells the process.
pub(crate) fn memory(mib: usize) -> u32 {
    // Written to, so that the pages are there.
    let more = vec![7; mib << 20];
    MEMORY.lock().expect("no panic").push(more);
    std::process::id()
}

/// What a worker leaves behind: a thread, or a connection to the server itself.
static KEPT: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

/// Begins what `thread` or `connection` (a port) names, and keeps it; tells the process.
pub(crate) fn keep(query: &str) -> u32 {
    match query.split_once('=') {
        Some(("connection", port)) => {
            let port = port.parse().expect("a port");
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
            KEPT.lock().expect("no panic").push(stream);
        }
        _ => {
            let thread = std::thread::Builder::new().name("poller".to_owned());
            let started = thread.spawn(|| {
                loop {
                    std::thread::park();
                }
            });
            started.expect("a thread");
        }
    }
    std::process::id()
}
