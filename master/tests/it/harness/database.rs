//! A PostgreSQL database for one test, queried with psql: another client than that of the service.

use std::process::{Command, Output};

use super::Services;
use super::services::unique;

/// Dropped with this value, even if clients are still connected.
#[derive(Debug)]
pub(crate) struct Database {
    /// The URL of the database from which the others are created.
    maintenance: String,
    url: String,
    name: String,
}

impl Database {
    pub(crate) fn new(services: &Services) -> Self {
        let maintenance = services.variable("DATABASE_URL").to_owned();
        let name = unique();
        let (server, _) = maintenance.rsplit_once('/').expect("a path in the URL");
        let url = format!("{server}/{name}");
        ask(&maintenance, &format!("CREATE DATABASE {name}"));
        Self {
            maintenance,
            url,
            name,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The output of psql: one line per row, `|` between columns.
    pub(crate) fn sql(&self, statement: &str) -> String {
        ask(&self.url, statement)
    }

    /// As [`Database::sql`], connected to another database.
    pub(crate) fn sql_elsewhere(&self, statement: &str) -> String {
        ask(&self.maintenance, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The test may have stopped the server.
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = run(&self.maintenance, &statement);
    }
}

fn ask(url: &str, statement: &str) -> String {
    let outcome = run(url, statement);
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{statement}: {said}");
    let text = String::from_utf8(outcome.stdout).expect("text");
    text.trim_end().to_owned()
}

fn run(url: &str, statement: &str) -> Output {
    let mut command = Command::new("psql");
    command
        .args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", url])
        .args(["-c", statement])
        .env("PGCONNECT_TIMEOUT", "10");
    command.output().expect("psql can be run")
}
