//! A PostgreSQL database of a test's own, asked through psql: another client than the service's.

use std::process::{Command, Output};

use super::Services;
use super::services::unique;

/// Dropped with its value, whoever is still connected.
#[derive(Debug)]
pub(crate) struct Database {
    /// Of the database in which the others are made.
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

    /// What psql prints: a line a row, `|` between columns.
    pub(crate) fn sql(&self, statement: &str) -> String {
        ask(&self.url, statement)
    }

    /// As [`Database::sql`], on a connection that is none of the database's.
    pub(crate) fn sql_elsewhere(&self, statement: &str) -> String {
        ask(&self.maintenance, statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test may have taken its server away.
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
