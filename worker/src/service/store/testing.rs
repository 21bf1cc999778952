//! A store of its own for each test.

use oxicorn_common::Settings;
use tempfile::TempDir;

use super::Store;

/// Settings that name a file in a folder that goes with the guard.
pub(crate) fn settings() -> (TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        database_url: format!("sqlite:{}", folder.path().join("test.db").display()),
        ..Settings::default()
    };
    (folder, settings)
}

pub(crate) fn store() -> (TempDir, Store) {
    let (folder, settings) = settings();
    let store = Store::open(&settings).expect("a store");
    (folder, store)
}
