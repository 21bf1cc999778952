//! The tables and their versions. The first process brings them up to date while the others wait at an advisory lock. No
//! statement is prepared: see [`super::statements`].

use postgres::types::Type;
use postgres::{Client, GenericClient};

/// In order, and never changed once released: a new version is a new file.
const VERSIONS: &[&str] = &[
    include_str!("migrations/1-all.sql"),
    include_str!("migrations/2-store.sql"),
];

/// The number of the advisory lock: the letters `oxicorn1`.
const LOCK: i64 = i64::from_be_bytes(*b"oxicorn1");

pub(super) fn run(client: &mut Client) -> Result<(), postgres::Error> {
    if version(client)? >= VERSIONS.len() {
        return Ok(());
    }
    let mut transaction = client.transaction()?;
    transaction.execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])?;
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
        transaction.execute_typed(
            "INSERT INTO oxicorn_migrations (version) VALUES ($1)",
            &[(&version, Type::INT4)],
        )?;
    }
    transaction.commit()
}

/// Notes that the events of this database are for Kafka: no server drops them from now on.
pub(super) fn note_publishing(client: &mut Client) -> Result<(), postgres::Error> {
    let sql = "SELECT bool_and(publishes) FROM oxicorn_store";
    let noted: Option<bool> = client.query_typed_one(sql, &[])?.get(0);
    match noted {
        Some(true) => Ok(()),
        _ => client.batch_execute("UPDATE oxicorn_store SET publishes = true"),
    }
}

/// 0 if there are no tables yet.
fn version(client: &mut Client) -> Result<usize, postgres::Error> {
    let sql = "SELECT to_regclass('oxicorn_migrations') IS NOT NULL";
    match client.query_typed_one(sql, &[])?.get(0) {
        true => applied(client),
        false => Ok(0),
    }
}

/// 0 if no table was made.
fn applied(client: &mut impl GenericClient) -> Result<usize, postgres::Error> {
    let sql = "SELECT coalesce(max(version), 0) FROM oxicorn_migrations";
    let version: i32 = client.query_typed_one(sql, &[])?.get(0);
    Ok(usize::try_from(version).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use postgres::NoTls;

    use super::*;
    use crate::settings::ServiceSettings;
    use crate::store::testing;

    #[test]
    fn many_may_come_first() {
        let (_guard, settings) = testing::on_postgres();
        let connect = || {
            Client::connect(&ServiceSettings::of(&settings).database_url, NoTls)
                .expect("a connection")
        };
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let come = || {
                let mut client = connect();
                together.wait();
                run(&mut client)
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(come)).collect();
            for one in all {
                one.join().expect("no panic").expect("tables");
            }
        });
        let mut client = connect();
        let sql = "SELECT count(*), max(version)::int8, (SELECT count(*) FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')
            FROM oxicorn_migrations";
        let row = client.query_one(sql, &[]).expect("an answer");
        let versions = i64::try_from(VERSIONS.len()).expect("a few");
        // tasks, users, sessions, events, stale_keys, task_counts, the store, and the versions.
        let found: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(found, (versions, versions, 8));
    }
}
