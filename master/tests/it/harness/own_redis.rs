//! [`OwnRedis`]: a Redis of one test, which may stop, hang and come back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::{Process, eventually};

/// `redis-server`, whose files are in one folder: that of the server under test, or another.
#[derive(Debug)]
pub(crate) struct OwnRedis {
    folder: PathBuf,
    process: Child,
}

impl OwnRedis {
    /// On a socket in `folder`. It answers.
    pub(crate) fn start(folder: &Path) -> Self {
        let redis = Self::spawn(folder, &["--port", "0", "--unixsocket", "redis.sock"]);
        eventually("redis-server", || {
            (redis.ask(&["PING"]) == "PONG").then_some(())
        });
        redis
    }

    /// With these flags, and waits for nothing.
    pub(crate) fn spawn(folder: &Path, flags: &[&str]) -> Self {
        let process = Command::new("redis-server")
            .args(["--save", ""])
            .args(flags)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn();
        Self {
            folder: folder.to_owned(),
            process: process.expect("redis-server, which scripts/install-deps gets"),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}/redis.sock", self.folder.display())
    }

    /// What `redis-cli` prints.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-s", "redis.sock"])
            .args(words)
            .current_dir(&self.folder)
            .output();
        let output = output.expect("redis-cli, which scripts/install-deps gets");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// How often it has executed a command, whose name is in lower case.
    pub(crate) fn calls(&self, command: &str) -> usize {
        let stats = self.ask(&["INFO", "commandstats"]);
        let name = format!("cmdstat_{command}:calls=");
        let counts = stats.lines().find_map(|line| line.strip_prefix(&name));
        let calls = counts.and_then(|it| it.split(',').next());
        calls.map_or(0, |it| it.parse().expect("a number"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process id");
        Process(pid).signal(signal);
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("a process");
        self.process.wait().expect("a process");
    }

    /// After [`OwnRedis::kill`], with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let folder = self.folder.clone();
        *self = Self::start(&folder);
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
