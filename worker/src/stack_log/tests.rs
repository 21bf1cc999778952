//! Each test has statics of its own: what names and writes are plain functions.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, PoisonError};
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(30);

/// A channel that functions without state can use.
struct Pipe(Mutex<Sender<String>>, Mutex<Receiver<String>>);

impl Pipe {
    const fn lazy() -> LazyLock<Self> {
        LazyLock::new(|| {
            let (sender, receiver) = channel();
            Self(Mutex::new(sender), Mutex::new(receiver))
        })
    }

    fn send(&self, text: &str) {
        lock(&self.0).send(text.to_owned()).expect("a receiver");
    }

    fn receive(&self) -> String {
        let receiver = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        receiver
            .recv_timeout(LONG)
            .unwrap_or_else(|_| "nothing came".to_owned())
    }
}

fn unnamed(text: &str) -> String {
    format!("ERROR {text}\n{UNNAMED}")
}

#[test]
fn a_line_is_added_before_its_stack_is_named_and_written_afterwards() {
    static GATE: LazyLock<Pipe> = Pipe::lazy();
    static WRITTEN: LazyLock<Pipe> = Pipe::lazy();
    static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
    static MOST_AT_ONCE: AtomicUsize = AtomicUsize::new(0);
    let name = |frames: &[usize]| {
        MOST_AT_ONCE.fetch_max(AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let stack = format!("  {} by {}", frames[0], GATE.receive());
        AT_ONCE.fetch_sub(1, Ordering::SeqCst);
        stack
    };
    let write = |level: Level, text: &str| WRITTEN.send(&format!("{level} {text}"));
    let log = StackLog::with(name, write, STACK_SIZE);
    log.add(Level::Error, "first".to_owned(), &[1]);
    log.add(Level::Warn, "second".to_owned(), &[2]);
    assert!(!log.is_idle(), "the worker has to wait for them");
    // Only now can a stack be named.
    GATE.send("a");
    assert_eq!(WRITTEN.receive(), "ERROR first\n  1 by a");
    GATE.send("b");
    assert_eq!(WRITTEN.receive(), "WARN second\n  2 by b");
    log.finish();
    assert!(log.is_idle());
    assert_eq!(MOST_AT_ONCE.load(Ordering::SeqCst), 1);
}

#[test]
fn the_end_of_the_worker_writes_each_line_that_waits_once() {
    static BEGUN: LazyLock<Pipe> = Pipe::lazy();
    static GATE: LazyLock<Pipe> = Pipe::lazy();
    static WRITTEN: LazyLock<Pipe> = Pipe::lazy();
    let name = |_: &[usize]| {
        BEGUN.send("");
        GATE.receive()
    };
    let write = |level: Level, text: &str| WRITTEN.send(&format!("{level} {text}"));
    let log = StackLog::with(name, write, STACK_SIZE);
    log.add(Level::Error, "first".to_owned(), &[]);
    log.add(Level::Error, "second".to_owned(), &[]);
    BEGUN.receive();
    log.finish();
    assert!(log.is_idle());
    assert_eq!(WRITTEN.receive(), unnamed("first"));
    assert_eq!(WRITTEN.receive(), unnamed("second"));
    log.add(Level::Error, "third".to_owned(), &[]);
    GATE.send("  of the first");
    GATE.send("  of the third");
    assert_eq!(WRITTEN.receive(), "ERROR third\n  of the third");
}

#[test]
fn without_a_thread_the_line_has_no_stack() {
    static WRITTEN: LazyLock<Pipe> = Pipe::lazy();
    let write = |level: Level, text: &str| WRITTEN.send(&format!("{level} {text}"));
    // No address space is that large.
    let log = StackLog::with(|_| unreachable!("nobody is there"), write, 1 << 60);
    log.add(Level::Error, "first".to_owned(), &[]);
    assert!(log.is_idle());
    assert_eq!(WRITTEN.receive(), unnamed("first"));
}

#[test]
fn a_stack_that_cannot_be_named_costs_no_line() {
    static WRITTEN: LazyLock<Pipe> = Pipe::lazy();
    let write = |level: Level, text: &str| WRITTEN.send(&format!("{level} {text}"));
    let log = StackLog::with(|frames| format!("{}", frames[1]), write, STACK_SIZE);
    log.add(Level::Error, "first".to_owned(), &[]);
    assert_eq!(WRITTEN.receive(), unnamed("first"));
}
