//! A store of its own for each test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use oxicorn_common::bell::Bell;
use oxicorn_common::hooks::NoHooks;
use oxicorn_common::{Metrics, Scoreboard, Settings, SharedMemory, WorkerContext};
use tempfile::TempDir;

use super::{Invalidate, PoolShape, Store};
use crate::metrics::METRICS;
use crate::settings::ServiceSettings;
use crate::shared_words::WORDS;

/// A database that is dropped with this value.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: TempDir,
    database: Option<Database>,
}

/// A new database on the server that `scripts/services` has started.
#[derive(Debug)]
struct Database {
    server: String,
    name: String,
}

impl Database {
    fn create() -> Self {
        let name = format!("unit_{:016x}", getrandom::u64().expect("random numbers"));
        let database = Self {
            server: variable("DATABASE_URL"),
            name,
        };
        database.on_server(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }

    fn on_server(&self, sql: &str) {
        let mut client = ::postgres::Client::connect(&self.server, ::postgres::NoTls)
            .expect("PostgreSQL is not up: scripts/services up postgres (make test does)");
        client.batch_execute(sql).expect("an answer");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.on_server(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// A variable of `scripts/services env`.
pub(crate) fn variable(name: &str) -> String {
    static ENVIRONMENT: LazyLock<String> = LazyLock::new(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
        let output = Command::new(script).arg("env").output();
        String::from_utf8(output.expect("Python").stdout).expect("text")
    });
    let prefix = format!("export {name}=");
    let line = ENVIRONMENT
        .lines()
        .find_map(|line| line.strip_prefix(&prefix));
    let value = line.expect("not up: scripts/services up (make test does)");
    value.trim_matches('\'').to_owned()
}

impl Guard {
    /// The file of an embedded database.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }
}

/// The invalidation of a store without a cache.
#[derive(Debug)]
pub(crate) struct Deaf;

impl Invalidate for Deaf {
    fn announce(&self, _keys: &[String]) -> bool {
        true
    }

    fn settle(&self, _keys: &[String]) {}
}

/// Settings with a new embedded database.
pub(crate) fn settings() -> (Guard, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = Guard {
        folder,
        database: None,
    };
    let mut settings = Settings::with_defaults(crate::SETTINGS);
    let own = ServiceSettings::of_mut(&mut settings);
    own.database_url = format!("sqlite:{}", guard.file().display());
    (guard, settings)
}

/// The shared memory that the master makes for the service.
pub(crate) fn shared_memory() -> SharedMemory {
    SharedMemory::new(WORDS).expect("memory")
}

pub(crate) fn context(settings: &Settings) -> WorkerContext {
    WorkerContext {
        hooks: Arc::new(NoHooks),
        settings: Arc::new(settings.clone()),
        slot: 0,
        generation: 1,
        age: 1,
        bell: Bell::new().expect("an eventfd"),
        shared_memory: shared_memory(),
        metrics: Metrics::unshared(METRICS).expect("memory"),
        scoreboard: Scoreboard::new().expect("memory"),
    }
}

pub(crate) fn open(settings: &Settings) -> Arc<dyn Store> {
    let shape = PoolShape::of_worker(settings);
    super::open(&context(settings), shape, Arc::new(Deaf)).expect("a store")
}

/// An embedded store.
pub(crate) fn store() -> (Guard, Arc<dyn Store>) {
    let (guard, settings) = settings();
    let store = open(&settings);
    (guard, store)
}

/// Runs `test` over a new store of each kind.
pub(crate) fn each(test: impl Fn(&dyn Store)) {
    for (_guard, settings) in [settings(), on_postgres()] {
        test(&*open(&settings));
    }
}

/// Settings with a new database on the real server.
pub(crate) fn on_postgres() -> (Guard, Settings) {
    let (mut guard, mut settings) = settings();
    let database = Database::create();
    let own = ServiceSettings::of_mut(&mut settings);
    own.database_url = database.url();
    (own.pool_size, own.max_overflow) = (1, 3);
    guard.database = Some(database);
    (guard, settings)
}
