//! The real PostgreSQL, Redis and Kafka of the tests: those of `make test`, or private ones to stop, hang and kill.

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// The addresses of the servers, as variables of `scripts/services env`.
#[derive(Debug)]
pub(crate) struct Services {
    variables: HashMap<String, String>,
    own: Option<Own>,
}

/// Servers that end when this is dropped, or when the process of the test ends in any way.
#[derive(Debug)]
struct Own {
    folder: TempDir,
    /// Takes the servers down when its standard input ends.
    janitor: Child,
}

impl Services {
    /// The servers that all tests share. No test may stop them.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Services> = OnceLock::new();
        SHARED.get_or_init(|| Self {
            // Exported variables take precedence: the servers may be anywhere.
            variables: variables(None)
                .into_iter()
                .chain(std::env::vars())
                .collect(),
            own: None,
        })
    }

    /// Servers for one test, which may do anything with them.
    pub(crate) fn private(names: &[&str]) -> Self {
        Self::private_with(names, &[])
    }

    /// As [`Services::private`], started with variables of `scripts/services`.
    pub(crate) fn private_with(names: &[&str], variables_of_start: &[(&str, String)]) -> Self {
        let mut services = Self {
            variables: HashMap::new(),
            own: Some(Own::new()),
        };
        let words: Vec<&str> = ["up"].iter().chain(names).copied().collect();
        services.tell_with(&words, variables_of_start);
        services.variables = variables(services.folder());
        services
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        let value = self.variables.get(name);
        value.unwrap_or_else(|| {
            panic!("{name} is not known: scripts/services up (make test does)");
        })
    }

    /// Ends a service cleanly.
    pub(crate) fn stop(&self, name: &str) {
        self.tell(&["stop", name]);
    }

    /// Starts a service at its old address; returns when it answers.
    pub(crate) fn start(&self, name: &str) {
        self.tell(&["start", name]);
    }

    pub(crate) fn restart(&self, name: &str) {
        self.tell(&["restart", name]);
    }

    /// SIGKILL to all its processes.
    pub(crate) fn kill(&self, name: &str) {
        self.tell(&["kill", name]);
    }

    /// SIGSTOP: it keeps its connections but does not answer.
    pub(crate) fn pause(&self, name: &str) {
        self.tell(&["pause", name]);
    }

    pub(crate) fn resume(&self, name: &str) {
        self.tell(&["resume", name]);
    }

    fn tell(&self, words: &[&str]) {
        self.tell_with(words, &[]);
    }

    fn tell_with(&self, words: &[&str], variables: &[(&str, String)]) {
        assert!(self.own.is_some(), "{words:?}: others use these servers");
        let mut command = command(self.folder());
        let variables = variables.iter().map(|(name, value)| (name, value));
        let outcome = command.envs(variables).args(words).output();
        let outcome = outcome.expect("scripts/services can be run");
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(
            outcome.status.success(),
            "scripts/services {words:?}: {said}"
        );
    }

    fn folder(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.folder.path())
    }
}

impl Own {
    fn new() -> Self {
        let folder = TempDir::with_prefix("oxicorn-services-").expect("a temporary directory");
        let janitor = Command::new("sh")
            .args(["-c", "cat; exec \"$0\" down"])
            .arg(script())
            .env("OXICORN_SERVICES_DIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt of the tests (SIGINT to the group) must not end the janitor.
            .process_group(0)
            .spawn();
        Self {
            folder,
            janitor: janitor.expect("sh can be run"),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // Ignore a failure: a second panic would end the whole test run.
        let _ = self.janitor.wait();
    }
}

/// A name that no other test has, in this run or in one before.
pub(super) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("after 1970").as_millis();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("test_{now}_{process}_{count}")
}

fn variables(folder: Option<&Path>) -> HashMap<String, String> {
    let outcome = command(folder).arg("env").output();
    let outcome = outcome.expect("scripts/services can be run");
    let text = String::from_utf8_lossy(&outcome.stdout);
    let lines = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    });
    lines.collect()
}

fn command(folder: Option<&Path>) -> Command {
    let mut command = Command::new(script());
    command.envs(folder.map(|folder| ("OXICORN_SERVICES_DIR", folder)));
    command
}

fn script() -> PathBuf {
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = room.parent().expect("a room of the project");
    project.join("scripts/services")
}
