//! Log lines that end with the stack of a native thread. Naming its functions reads the debug information of the
//! program, which takes seconds where that is large. The event loop does not wait for it: a thread that lives as long
//! as lines wait names one stack after the other. The worker ends after their lines, and waits for them no longer than
//! for its connections (`graceful_timeout`): then they are written without a stack.

use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use log::Level;
use oxicorn_common::logging::RequestTag;

use crate::stack_trace;
use crate::sync::lock;

/// The stack of a thread of the server's own, in octets.
const STACK_SIZE: usize = 2 * 1024 * 1024;
/// In place of a stack whose functions nobody could name.
const UNNAMED: &str = "  (its functions could not be named)";

type NameFrames = fn(&[usize]) -> String;
type WriteLine = fn(Level, &str);

#[derive(Debug)]
pub(crate) struct StackLog(Arc<StackLines>);

#[derive(Debug)]
struct StackLines {
    queue: Mutex<StackQueue>,
    /// How many are not written yet, for a look without the lock.
    count: AtomicUsize,
    name: NameFrames,
    write: WriteLine,
    stack_size: usize,
}

#[derive(Debug, Default)]
struct StackQueue {
    /// The stack of the first is being named.
    waiting: VecDeque<StackLine>,
    has_thread: bool,
}

#[derive(Debug)]
struct StackLine {
    level: Level,
    text: String,
    /// The request that the line is about.
    tag: RequestTag,
    frames: Arc<[usize]>,
}

impl StackLog {
    pub(crate) fn new() -> Self {
        let write: WriteLine = |level, text| log::log!(level, "{text}");
        Self::with(stack_trace::name, write, STACK_SIZE)
    }

    fn with(name: NameFrames, write: WriteLine, stack_size: usize) -> Self {
        Self(Arc::new(StackLines {
            queue: Mutex::default(),
            count: AtomicUsize::new(0),
            name,
            write,
            stack_size,
        }))
    }

    /// Logs `text`, and below it the functions of `frames`; returns before that is done.
    pub(crate) fn add(&self, level: Level, text: String, frames: &[usize]) {
        let lines = &self.0;
        let mut queue = lock(&lines.queue);
        lines.count.fetch_add(1, Ordering::Relaxed);
        queue.waiting.push_back(StackLine {
            level,
            text,
            tag: RequestTag::current(),
            frames: frames.into(),
        });
        if !queue.has_thread {
            let builder = Builder::new().name("stack-log".to_owned());
            let shared = Arc::clone(lines);
            let started = builder
                .stack_size(lines.stack_size)
                .spawn(move || shared.work());
            queue.has_thread = started.is_ok();
        }
        if !queue.has_thread {
            lines.write_unnamed(&mut queue);
        }
    }

    /// Whether all lines have been written.
    pub(crate) fn is_idle(&self) -> bool {
        // Relaxed: a leader that sees it later looks again.
        self.0.count.load(Ordering::Relaxed) == 0
    }

    /// The worker ends: writes the lines that still wait, without their stacks.
    pub(crate) fn finish(&self) {
        self.0.write_unnamed(&mut lock(&self.0.queue));
    }
}

impl StackLines {
    /// The life of the thread, which ends with the last line.
    fn work(&self) {
        let mut queue = lock(&self.queue);
        while let Some(line) = queue.waiting.front() {
            let (frames, name) = (Arc::clone(&line.frames), self.name);
            drop(queue);
            let stack = catch_unwind(|| name(&frames));
            queue = lock(&self.queue);
            let first = queue.waiting.front();
            // `finish` may have been faster.
            if first.is_some_and(|it| Arc::ptr_eq(&it.frames, &frames)) {
                self.write_first(&mut queue, stack.as_deref().unwrap_or(UNNAMED));
            }
        }
        queue.has_thread = false;
    }

    fn write_unnamed(&self, queue: &mut StackQueue) {
        while !queue.waiting.is_empty() {
            self.write_first(queue, UNNAMED);
        }
    }

    /// Writes under the lock, so that `finish` returns after a line that is just being written.
    fn write_first(&self, queue: &mut StackQueue, stack: &str) {
        if let Some(line) = queue.waiting.pop_front() {
            let _scope = line.tag.enter();
            (self.write)(line.level, &format!("{}\n{stack}", line.text));
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
