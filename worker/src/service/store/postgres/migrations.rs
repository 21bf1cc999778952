//! The tables and their versions. Whichever process comes first brings them up to date; the others
//! wait at an advisory lock.

use postgres::Client;

/// In order, and never changed once released: a new version is a new file.
const VERSIONS: &[&str] = &[include_str!("migrations/1-all.sql")];

/// Of the advisory lock: the letters `oxicorn1`.
const LOCK: i64 = i64::from_be_bytes(*b"oxicorn1");

pub(super) fn run(client: &mut Client) -> Result<(), postgres::Error> {
    if version(client)? >= VERSIONS.len() {
        return Ok(());
    }
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
    transaction.batch_execute(
        "CREATE TABLE IF NOT EXISTS oxicorn_migrations (
             version    INTEGER PRIMARY KEY,
             applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
         )",
    )?;
    // Another process may have been faster.
    let applied = applied(&mut transaction)?;
    for (at, sql) in VERSIONS.iter().enumerate().skip(applied) {
        transaction.batch_execute(sql)?;
        let version = i32::try_from(at + 1).unwrap_or(i32::MAX);
        transaction.execute(
            "INSERT INTO oxicorn_migrations (version) VALUES ($1)",
            &[&version],
        )?;
    }
    transaction.commit()
}

/// 0 where there are no tables yet.
fn version(client: &mut Client) -> Result<usize, postgres::Error> {
    let sql = "SELECT to_regclass('oxicorn_migrations') IS NOT NULL";
    match client.query_one(sql, &[])?.get(0) {
        true => applied(client),
        false => Ok(0),
    }
}

fn applied(client: &mut impl postgres::GenericClient) -> Result<usize, postgres::Error> {
    let sql = "SELECT coalesce(max(version), 0) FROM oxicorn_migrations";
    let version: i32 = client.query_one(sql, &[])?.get(0);
    Ok(usize::try_from(version).unwrap_or(0))
}
