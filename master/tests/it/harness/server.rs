//! A server under test: the real binary, in a directory and a process group of its own.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Answer, Client, Log, Process, TIMEOUT, eventually, eventually_within};

/// A server to start.
#[derive(Debug)]
pub(crate) struct Builder {
    name: String,
    program: PathBuf,
    app: Option<String>,
    bind: Option<String>,
    workers: usize,
    /// A command that runs the server.
    under: Vec<String>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: TempDir,
}

/// A running server. Dropping it stops it and checks what it leaves behind.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) child: Child,
    pub(super) command: String,
    pub(super) dir: TempDir,
    pub(super) out: Log,
    pub(super) log: Log,
    pub(super) tolerated: Vec<String>,
    /// How many descriptors the master had when it began to serve, without those for children.
    pub(super) descriptors: Option<usize>,
    pub(super) exited: Option<ExitStatus>,
    /// `None` is death by a signal.
    pub(super) expected_code: Option<i32>,
    address: Option<SocketAddr>,
    speaks_tls: bool,
}

/// The result of a run that was expected to end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
}

impl Server {
    #[expect(clippy::new_ret_no_self, reason = "reads as what it begins")]
    pub(crate) fn new(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_oxicorn")),
            app: Some("native:hello".to_owned()),
            bind: Some("127.0.0.1:0".to_owned()),
            workers: 1,
            under: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            dir: TempDir::with_prefix("oxicorn-test-").expect("a temporary directory"),
        }
    }
}

impl Builder {
    pub(crate) fn app(mut self, app: &str) -> Self {
        self.app = Some(app.to_owned());
        self
    }

    /// Serves the application of `examples/lab.rs`.
    pub(crate) fn lab(mut self) -> Self {
        self.program = example("lab");
        self.app = None;
        self
    }

    /// Runs another example, which names its own application.
    pub(crate) fn example(mut self, name: &str) -> Self {
        self.program = example(name);
        self.app = None;
        self
    }

    /// Runs another program, with the arguments of the server.
    pub(crate) fn program(mut self, path: &Path) -> Self {
        self.program = path.to_owned();
        self
    }

    pub(crate) fn no_app(mut self) -> Self {
        self.app = None;
        self
    }

    pub(crate) fn bind(mut self, address: &str) -> Self {
        self.bind = Some(address.to_owned());
        self
    }

    /// Leaves `bind` to other sources of settings.
    pub(crate) fn no_bind(mut self) -> Self {
        self.bind = None;
        self
    }

    /// Runs the server as the argument of another command.
    pub(crate) fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|&it| it.to_owned()).collect();
        self
    }

    pub(crate) fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self.args(&["--workers", &count.to_string()])
    }

    pub(crate) fn threads(self, count: usize) -> Self {
        self.args(&["--threads", &count.to_string()])
    }

    pub(crate) fn arg(self, arg: &str) -> Self {
        self.args(&[arg])
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The directory that the server will run in.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the server and waits until all its workers serve: a test may take away at once what they need to boot.
    pub(crate) fn start(self) -> Server {
        let workers = self.workers;
        let mut server = self.spawn();
        server.wait_until_listening();
        if workers > 0 {
            server.wait_for_children(workers);
        }
        server.log.wait_for("Generation 1 serves");
        if !server.speaks_tls && server.address.is_some() {
            eventually("the first answer", || server.ask_and_close().ok());
        }
        if workers > 0 {
            server.descriptors = Some(server.own_descriptors());
        }
        server
    }

    /// As [`Builder::start`], for a test that sets the number of workers in another way.
    pub(crate) fn start_with_unknown_workers(mut self) -> Server {
        self.workers = 0;
        self.start()
    }

    /// Starts the server and waits for nothing.
    pub(crate) fn spawn(self) -> Server {
        let mut command = self.command();
        let text = format!("{}: {command:?}", self.name);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {text}: {error}"));
        Server {
            out: Log::of(child.stdout.take().expect("a pipe")),
            log: Log::of(child.stderr.take().expect("a pipe")),
            child,
            command: text,
            dir: self.dir,
            tolerated: Vec::new(),
            descriptors: None,
            exited: None,
            expected_code: Some(0),
            address: None,
            speaks_tls: false,
        }
    }

    /// Runs a command that is expected to end by itself.
    pub(crate) fn run(self) -> Ended {
        let mut server = self.spawn();
        server.tolerated.push(String::new());
        let status = server.wait_for_exit();
        server.expected_code = status.code();
        assert!(server.log.ends_within(TIMEOUT) && server.out.ends_within(TIMEOUT));
        Ended {
            code: status.code(),
            out: server.out.text(),
            log: server.log.text(),
        }
    }

    fn command(&self) -> Command {
        // If the test is killed, the kernel ends the server, which ends its children.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.under)
            .arg(&self.program);
        if let Some(bind) = &self.bind {
            command.args(["--bind", bind]);
        }
        command
            .args(&self.args)
            .args(&self.app)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_BACKTRACE", "1")
            // The control socket is there: servers of other tests must not have the same.
            .env("HOME", self.dir.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Server {
    /// The TCP address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it listens on TCP")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address()).expect("the server listens")
    }

    /// Sends a GET on a connection that the server has closed when this returns.
    fn ask_and_close(&self) -> io::Result<()> {
        let mut client = Client::connect(self.address())?;
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
        client.answer()?;
        client.rest().map(drop)
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.client()
            .get(target)
            .unwrap_or_else(|error| panic!("GET {target}: {error}"))
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn out(&self) -> &Log {
        &self.out
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn master(&self) -> Process {
        Process(i32::try_from(self.child.id()).expect("a pid"))
    }

    pub(crate) fn children(&self) -> Vec<Process> {
        self.master().children()
    }

    /// Waits until the master has exactly `count` children.
    pub(crate) fn wait_for_children(&self, count: usize) -> Vec<Process> {
        eventually(&format!("{count} children"), || {
            Some(self.children()).filter(|children| children.len() == count)
        })
    }

    /// Waits until none of `old` is left and there are `count` others.
    pub(crate) fn wait_for_others(&self, old: &[Process], count: usize) -> Vec<Process> {
        eventually(&format!("{count} children that are new"), || {
            let children = self.children();
            let all_new = children.iter().all(|child| !old.contains(child));
            (all_new && children.len() == count).then_some(children)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.master().signal(signal);
    }

    /// Lets error lines with `pattern` pass the check at the end; "" tolerates them all.
    pub(crate) fn tolerate(&mut self, pattern: &str) {
        self.tolerated.push(pattern.to_owned());
    }

    /// Lets the master have this many more descriptors at its end.
    pub(crate) fn expect_descriptors(&mut self, more: usize) {
        self.descriptors = self.descriptors.map(|count| count + more);
    }

    pub(crate) fn expect_code(&mut self, code: i32) {
        self.expected_code = Some(code);
    }

    /// The test kills the master.
    pub(crate) fn expect_kill(&mut self) {
        self.expected_code = None;
    }

    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        self.wait_for_exit_within(TIMEOUT)
    }

    pub(crate) fn wait_for_exit_within(&mut self, timeout: Duration) -> ExitStatus {
        let child = &mut self.child;
        let status = eventually_within(timeout, "the server exits", || {
            child.try_wait().expect("a child of ours")
        });
        self.exited = Some(status);
        status
    }

    /// How many descriptors the master has, without those for children.
    pub(super) fn own_descriptors(&self) -> usize {
        let master = self.master();
        master.descriptors().saturating_sub(master.children().len())
    }

    fn wait_until_listening(&mut self) {
        let line = self.log.wait_for("Listening at: ");
        let place = line.split("Listening at: ").nth(1).unwrap_or_default();
        let place = place.split(" (").next().unwrap_or_default();
        self.speaks_tls = place.starts_with("https://");
        self.address = place
            .split_once("://")
            .and_then(|(_, address)| address.split(',').next()?.parse().ok());
    }
}

/// The example of that name; `cargo test` builds examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/test");
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --example {name}",
        path.display()
    );
    path
}
