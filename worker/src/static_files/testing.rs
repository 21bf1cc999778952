//! What the tests of this folder share: heads of requests, and a tree of files with everything that might lead out of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use oxicorn_common::request::{RequestHead, Span};
use tempfile::TempDir;

/// The head of a request with these fields.
pub(super) fn head(fields: &[(&str, &str)]) -> RequestHead {
    request("GET", "/", fields)
}

/// The head of a request.
pub(super) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    let mut put = |text: &str| {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(text.as_bytes());
        let place = |at: usize| u32::try_from(at).expect("a short head");
        Span {
            start: place(start),
            end: place(head.bytes.len()),
        }
    };
    let (method, target) = (put(method), put(target));
    let fields = fields.iter().map(|(name, value)| (put(name), put(value)));
    let fields = fields.collect();
    (head.method, head.target, head.fields) = (method, target, fields);
    head
}

/// `root` is served; `outside` has files with the same names, and nobody may open them.
#[derive(Debug)]
pub(super) struct Tree {
    folder: TempDir,
    watch: Inotify,
}

pub(super) const INSIDE: &str = "inside";
/// The names in [`Tree::root`] that lead to a file in it.
pub(super) const GOOD: [&str; 8] = [
    "a.txt",
    "dir/b.txt",
    "dir/deep/c.txt",
    "link",
    "absolute",
    "dir/up",
    "way/b.txt",
    "dir/deep/root/a.txt",
];
/// Those that do not.
pub(super) const BAD: [&str; 14] = [
    "out",
    "absolute-out",
    "out-dir/a.txt",
    "parent/outside/a.txt",
    "slash/etc/passwd",
    "again-in",
    "loop",
    "one",
    "dangling",
    "fifo",
    "none",
    "a.txt/",
    "proc/a.txt",
    "descriptors/0",
];

impl Tree {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().expect("a directory");
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        for directory in ["dir/deep", ".hidden", "empty"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
        }
        fs::create_dir_all(outside.join("dir")).expect("a directory");
        for name in [
            "a.txt",
            "dir/b.txt",
            "dir/deep/c.txt",
            ".env",
            ".hidden/a.txt",
            "..a",
        ] {
            fs::write(root.join(name), INSIDE).expect("a file");
        }
        for name in ["a.txt", "dir/b.txt", "index.html"] {
            fs::write(outside.join(name), "secret").expect("a file");
        }
        let links: [(&str, PathBuf); 16] = [
            ("link", "dir/b.txt".into()),
            ("absolute", root.join("dir/b.txt")),
            ("dir/up", "../a.txt".into()),
            ("way", "dir/../dir".into()),
            ("dir/deep/root", "../..".into()),
            ("out", "../outside/a.txt".into()),
            ("absolute-out", outside.join("a.txt")),
            ("out-dir", "../outside".into()),
            ("parent", "..".into()),
            ("slash", "/".into()),
            ("again-in", "../root/a.txt".into()),
            ("loop", "loop".into()),
            ("one", "two".into()),
            ("two", "one".into()),
            ("dangling", "nowhere".into()),
            ("proc", "/proc/self/cwd".into()),
        ];
        for (name, target) in links {
            symlink(target, root.join(name)).expect("a link");
        }
        symlink("/proc/self/fd", root.join("descriptors")).expect("a link");
        mkfifo(&root.join("fifo"), Mode::S_IRWXU).expect("a FIFO");
        let watch = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify");
        for watched in ["", "dir"] {
            let watched = outside.join(watched);
            let flags = AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ACCESS;
            watch.add_watch(&watched, flags).expect("a watch");
        }
        Self { folder, watch }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// Whether anything outside has been opened since the last call.
    pub(super) fn was_left(&self) -> bool {
        self.watch.read_events().is_ok_and(|it| !it.is_empty())
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}

/// Numbers that look random, the same in each run.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `most`.
    pub(super) fn throw(&mut self, most: usize) -> usize {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % most
    }

    pub(super) fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.throw(from.len())]
    }
}
