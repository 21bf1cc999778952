//! A real Redis for each test, and processes that share it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oxicorn_common::{Settings, SharedMemory, WorkerContext};
use redis::{Cmd, FromRedisValue};
use serde_json::Value;
use tempfile::TempDir;

use super::RedisCache;
use crate::cache::{Cache, CacheResult, FreshBody};
use crate::key_versions::KeyVersions;
use crate::model::{NewTask, TaskId, TaskType, UserRef};
use crate::problem::Problem;
use crate::settings::ServiceSettings;
use crate::store::testing::{self, Guard};
use crate::store::{self, Now, PoolShape, Store};

/// `redis-server` on a socket in a folder of its own.
#[derive(Debug)]
pub(super) struct Server {
    folder: TempDir,
    options: Vec<String>,
    process: Child,
}

impl Server {
    pub(super) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options: Vec<String> = options.iter().map(|&it| it.to_owned()).collect();
        let process = launch(&folder, &options);
        let server = Self {
            folder,
            options,
            process,
        };
        server.wait();
        server
    }

    pub(super) fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(super) fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        command.query(&mut connection).expect("an answer")
    }

    /// Hangs it: it neither replies nor closes connections.
    pub(super) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().expect("a process");
        self.process.wait().expect("a process");
    }

    /// Starts with the data that it has saved.
    pub(super) fn start_again(&mut self) {
        self.process = launch(&self.folder, &self.options);
        self.wait();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a process");
    }

    fn wait(&self) {
        let client = redis::Client::open(self.url()).expect("a URL");
        until("Redis listens", || {
            client.get_connection().is_ok_and(answers)
        });
    }
}

/// Also if it wants a password first; not while it loads its saved data.
fn answers(mut connection: redis::Connection) -> bool {
    let answer = redis::cmd("PING").exec(&mut connection);
    match answer {
        Ok(()) => true,
        Err(error) => error.code() == Some("NOAUTH"),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(folder: &TempDir, options: &[String]) -> Child {
    let fixed = ["--port", "0", "--unixsocket", "redis.sock", "--save", ""];
    Command::new("redis-server")
        .args(fixed)
        .args(options)
        .arg("--dir")
        .arg(folder.path())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server, which scripts/install-deps gets")
}

/// The database and the Redis that the processes of one server share.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) server: Server,
    pub(super) settings: Settings,
    /// The database without any cache.
    pub(super) bare: Arc<dyn Store>,
    shared_memory: SharedMemory,
    ages: AtomicU64,
    _guard: Guard,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self::over(Server::start(&[]))
    }

    pub(super) fn over(server: Server) -> Self {
        let (guard, mut settings) = testing::settings();
        ServiceSettings::of_mut(&mut settings).redis_url = Some(server.url());
        // A machine under load is not what most tests are about.
        ServiceSettings::of_mut(&mut settings).redis_timeout = Duration::from_millis(250);
        // Most tests are about what Redis holds.
        ServiceSettings::of_mut(&mut settings).near_cache_ttl = Duration::ZERO;
        Self {
            bare: testing::open(&settings),
            shared_memory: testing::shared_memory(),
            ages: AtomicU64::new(0),
            _guard: guard,
            settings,
            server,
        }
    }

    /// The name of a task in Redis.
    pub(super) fn place(&self, id: TaskId) -> String {
        self.name(&key(id))
    }

    pub(super) fn name(&self, key: &str) -> String {
        format!("{key}:{}", self.bare.identity().expect("no error"))
    }

    /// Later processes are of another server, over the same database and the same Redis.
    pub(super) fn be_another_server(&mut self) {
        self.shared_memory = testing::shared_memory();
    }

    /// Plays a listener that has heard everything, although nothing listens.
    pub(super) fn deafen(&self) {
        let (process, versions) = (u64::MAX, KeyVersions::of(&self.context()));
        assert!(versions.become_listener(process, 0) && versions.heard(process, u64::MAX));
    }

    /// A process that may use Redis already.
    pub(super) fn process(&self) -> Process {
        let process = self.begin_process();
        process.wait_up();
        process
    }

    fn context(&self) -> WorkerContext {
        WorkerContext {
            shared_memory: self.shared_memory.clone(),
            age: self.ages.fetch_add(1, Ordering::Relaxed) + 1,
            ..testing::context(&self.settings)
        }
    }

    pub(super) fn begin_process(&self) -> Process {
        let context = self.context();
        let cache = RedisCache::open(&context)
            .expect("usable")
            .expect("configured");
        let cache = Arc::new(cache);
        let shape = PoolShape::of_worker(&self.settings);
        let store = store::open(&context, shape, cache.clone()).expect("a store");
        let attached: Arc<dyn Cache> = cache.clone();
        attached.attach(&store);
        Process { cache, store }
    }

    pub(super) fn add_task(&self) -> TaskId {
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::FileUpload,
            priority: Default::default(),
            parameters: Default::default(),
        };
        let task = self.bare.create_task(&new, Now::Store);
        task.expect("a task").task_id
    }
}

/// The cache of a worker or a runner.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) cache: Arc<RedisCache>,
    pub(super) store: Arc<dyn Store>,
}

impl Process {
    pub(super) fn wait_up(&self) {
        until("Redis is used", || self.cache.is_up());
    }

    pub(super) fn wait_down(&self) {
        until("Redis is not used", || !self.cache.is_up());
    }

    /// The task's status, through the cache.
    pub(super) fn status(&self, id: TaskId) -> String {
        self.status_by(id, || {})
    }

    /// Runs `meanwhile` after the store was read, if it is read.
    pub(super) fn status_by(&self, id: TaskId, then: impl Fn()) -> String {
        let body = self.cache.read_through(&key(id), &mut || {
            let made = made(&*self.store, id)?;
            then();
            Ok(made)
        });
        status_in(body)
    }

    /// Whether the body comes from Redis.
    pub(super) fn remembers(&self, id: TaskId) -> bool {
        let asked = std::cell::Cell::new(false);
        self.status_by(id, || asked.set(true));
        !asked.get()
    }

    pub(super) fn cancel(&self, id: TaskId) {
        let cancelled = self.store.cancel_task(id, Now::Store);
        assert!(cancelled.expect("no error").is_some_and(|(_, now)| now));
    }
}

pub(super) fn key(id: TaskId) -> String {
    format!("task:{id}")
}

pub(super) fn made(store: &dyn Store, id: TaskId) -> Result<Option<FreshBody>, Problem> {
    let Some(task) = store.task(id)? else {
        return Ok(None);
    };
    let text = format!("{{\"status\":\"{}\"}}", task.summary.status.as_str());
    Ok(Some(FreshBody {
        body: text.into_bytes().into(),
        ttl: Duration::from_secs(60),
    }))
}

fn status_in(found: CacheResult) -> String {
    let body = found.expect("no error").expect("a task");
    let value: Value = serde_json::from_slice(&body).expect("JSON");
    value["status"].as_str().expect("a status").to_owned()
}

pub(super) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
