//! Cache keys that a change invalidated while Redis could not be told.

use super::change::PgChange;
use super::connection::PgConnection;
use crate::store::StoreError;

/// A key that exists is locked too, so that its removal waits for the commit of this change, and recovery invalidates
/// it in the cache once more after that. Sorted, so that changes and recovery cannot deadlock.
pub(super) fn put(change: &mut PgChange<'_>, keys: &[String]) -> Result<(), StoreError> {
    let sql = "INSERT INTO stale_keys (cache_key)
        SELECT DISTINCT key FROM unnest($1::text[]) AS key ORDER BY key
        ON CONFLICT (cache_key) DO UPDATE SET cache_key = excluded.cache_key";
    change.execute(sql, &[&keys])?;
    Ok(())
}

pub(super) fn list(
    connection: &mut PgConnection,
    limit: usize,
) -> Result<Vec<String>, postgres::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = connection.rows("SELECT cache_key FROM stale_keys LIMIT $1", &[&limit])?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

pub(super) fn remove(change: &mut PgChange<'_>, keys: &[String]) -> Result<(), StoreError> {
    let sql = "DELETE FROM stale_keys WHERE cache_key IN (
            SELECT cache_key FROM stale_keys WHERE cache_key = ANY($1)
            ORDER BY cache_key FOR UPDATE
        )";
    change.execute(sql, &[&keys])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread::ScopedJoinHandle;
    use std::time::{Duration, Instant};

    use crate::settings::ServiceSettings;
    use oxicorn_common::Settings;
    use r2d2::ManageConnection;

    use super::super::connection::Manager;
    use super::super::target::PgTarget;
    use super::*;
    use crate::store::testing;

    fn connect(settings: &Settings) -> PgConnection {
        let target =
            PgTarget::parse(&ServiceSettings::of(settings).database_url).expect("a target");
        let manager = Manager::new(target, false).expect("a manager");
        manager.connect().expect("a connection")
    }

    fn note(connection: &mut PgConnection, keys: &[String]) {
        let mut change = connection.begin().expect("a transaction");
        put(&mut change, keys).expect("noted");
        change.commit().expect("committed");
    }

    fn strike(connection: &mut PgConnection, keys: &[String]) {
        let mut change = connection.begin().expect("a transaction");
        remove(&mut change, keys).expect("removed");
        change.commit().expect("committed");
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&it| it.to_owned()).collect()
    }

    /// Whether `other` waits for a lock; false if it ends instead.
    fn waits<T>(watcher: &mut PgConnection, other: &ScopedJoinHandle<'_, T>) -> bool {
        let sql = "SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while watcher.row(sql, &[]).expect("an answer").is_none() {
            if other.is_finished() {
                return false;
            }
            assert!(Instant::now() < deadline, "it neither ends nor waits");
        }
        true
    }

    #[test]
    fn a_keeper_waits_for_a_change_that_notes_a_key_again() {
        let (_guard, settings) = testing::on_postgres();
        let mut keeper = connect(&settings);
        let (mut writer, mut watcher) = (connect(&settings), connect(&settings));
        let keys = words(&["task:1", "task:2", "task:1"]);
        note(&mut keeper, &keys);
        let mut second = writer.begin().expect("a transaction");
        put(&mut second, &keys).expect("noted");
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| strike(&mut keeper, &keys));
            // Otherwise recovery would invalidate the key for the last time before this change is committed.
            assert!(waits(&mut watcher, &removal));
            second.commit().expect("committed");
            removal.join().expect("no panic");
        });
        assert!(list(&mut watcher, 10).expect("an answer").is_empty());
    }

    #[test]
    fn a_note_is_not_lost_to_a_removal_under_way() {
        let (_guard, settings) = testing::on_postgres();
        let mut keeper = connect(&settings);
        let (mut writer, mut watcher) = (connect(&settings), connect(&settings));
        let keys = words(&["task:1", "task:2"]);
        note(&mut keeper, &keys);
        let mut removal = keeper.begin().expect("a transaction");
        remove(&mut removal, &keys).expect("removed");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| note(&mut writer, &keys));
            assert!(waits(&mut watcher, &second));
            removal.commit().expect("committed");
            second.join().expect("no panic");
        });
        let mut kept = list(&mut watcher, 10).expect("an answer");
        kept.sort();
        assert_eq!(kept, keys);
    }

    #[test]
    fn notes_and_removals_do_not_lock_each_other_out() {
        let (_guard, settings) = testing::on_postgres();
        let keys: Vec<_> = (0..40).map(|number| format!("task:{number}")).collect();
        let reversed: Vec<_> = keys.iter().rev().cloned().collect();
        std::thread::scope(|scope| {
            for keys in [&keys, &reversed] {
                scope.spawn(|| {
                    let mut connection = connect(&settings);
                    (0..100).for_each(|_| note(&mut connection, keys));
                });
                scope.spawn(|| {
                    let mut connection = connect(&settings);
                    (0..100).for_each(|_| strike(&mut connection, keys));
                });
            }
        });
    }
}
