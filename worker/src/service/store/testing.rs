//! A store of its own for each test.

use std::path::PathBuf;
use std::sync::Arc;

use oxicorn_common::bell::Bell;
use oxicorn_common::{Outages, Settings, WorkerContext};
use tempfile::TempDir;

use super::{Invalidate, PoolShape, Store};

/// A database that goes with it.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: TempDir,
}

impl Guard {
    /// The file of an embedded database.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }
}

/// What is told of changes where there is no cache.
#[derive(Debug)]
pub(crate) struct Deaf;

impl Invalidate for Deaf {
    fn announce(&self, _keys: &[String]) -> bool {
        true
    }

    fn settle(&self, _keys: &[String]) {}
}

/// Settings that name an embedded database of its own.
pub(crate) fn settings() -> (Guard, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let guard = Guard { folder };
    let settings = Settings {
        database_url: format!("sqlite:{}", guard.file().display()),
        ..Settings::default()
    };
    (guard, settings)
}

pub(crate) fn context(settings: &Settings) -> WorkerContext {
    WorkerContext {
        settings: Arc::new(settings.clone()),
        slot: 0,
        generation: 1,
        age: 1,
        bell: Bell::new().expect("an eventfd"),
        outages: Outages::new().expect("memory"),
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
    for (_guard, settings) in [settings()] {
        test(&*open(&settings));
    }
}
