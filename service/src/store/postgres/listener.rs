//! Invalidates the cache of this process when other processes change rows: a thread LISTENs on a connection of its own,
//! and a change NOTIFYs in its transaction. While the thread cannot listen, nothing is cached.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use log::warn;
use oxicorn_common::WorkerContext;
use r2d2::ManageConnection;

use super::change::PgChange;
use super::connection::Manager;
use super::target::PgTarget;
use crate::settings::ServiceSettings;
use crate::store::{Changes, StoreError, Tracker};

const CHANNEL: &str = "oxicorn_spoiled";
/// How often the thread checks whether the cache still exists.
const TICK: Duration = Duration::from_millis(500);
/// How many keys are remembered until the cache takes them. With more, everything counts as changed.
const MOST: usize = 10_000;

/// Notifies the listeners of all processes when the change is committed.
pub(super) fn notify(change: &mut PgChange<'_>, keys: &[String]) -> Result<(), StoreError> {
    change.rows(
        "SELECT pg_notify($1, key) FROM unnest($2::text[]) AS key",
        &[&CHANNEL, &keys],
    )?;
    Ok(())
}

#[derive(Debug)]
enum Heard {
    /// The thread does not listen: anything may have changed.
    Deaf,
    /// The thread has just begun to listen: anything may have changed before.
    Everything,
    Keys(Vec<String>),
}

#[derive(Debug)]
pub(crate) struct ChangeListener(Arc<Mutex<Heard>>);

impl ChangeListener {
    pub(crate) fn new(context: &WorkerContext) -> anyhow::Result<Self> {
        let settings = ServiceSettings::of(&context.settings);
        let target = PgTarget::parse(&settings.database_url)?;
        let manager = Manager::new(target, false)?;
        let tells = context.slot == 0 && settings.cache_entries > 0;
        let heard = Arc::new(Mutex::new(Heard::Deaf));
        let weak = Arc::downgrade(&heard);
        thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || {
                while weak.strong_count() > 0 {
                    // The store logs outages.
                    let listened = listen(&manager, &weak);
                    set(&weak, Heard::Deaf);
                    if let Ok(ListenEnd::Pooled) = listened {
                        if tells {
                            tell_of_pooler(&manager);
                        }
                        return;
                    }
                    thread::sleep(TICK);
                }
            })?;
        Ok(Self(heard))
    }
}

impl Tracker for ChangeListener {
    fn follow(&mut self) -> Result<Changes, StoreError> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &mut *heard {
            Heard::Deaf => Changes::Everything,
            Heard::Everything => {
                *heard = Heard::Keys(Vec::new());
                Changes::Everything
            }
            Heard::Keys(keys) if keys.is_empty() => Changes::Nothing,
            Heard::Keys(keys) => Changes::Keys(std::mem::take(keys)),
        })
    }

    fn sees_lists(&self) -> bool {
        false
    }
}

/// Why the thread does not listen any more.
enum ListenEnd {
    /// The cache is gone.
    Over,
    /// A pooler gives each transaction another session, so notifications reach the client that has the session at that
    /// moment.
    Pooled,
}

fn tell_of_pooler(manager: &Manager) {
    warn!(
        "{} is reached through a pooler that lends a session for one transaction: workers do not hear what others \
         change (LISTEN), so they keep nothing in memory; let it pool by session, or set redis_url",
        manager.target().name()
    );
}

/// Listens until the connection is lost or the cache is gone.
fn listen(manager: &Manager, weak: &Weak<Mutex<Heard>>) -> anyhow::Result<ListenEnd> {
    let mut connection = manager.connect()?;
    if manager.is_pooled(&mut connection)? {
        return Ok(ListenEnd::Pooled);
    }
    let client = connection.client();
    client.batch_execute(&format!("LISTEN {CHANNEL}"))?;
    set(weak, Heard::Everything);
    while weak.strong_count() > 0 {
        while let Some(notification) = client.notifications().timeout_iter(TICK).next()? {
            hear(weak, notification.payload());
        }
        anyhow::ensure!(!client.is_closed(), "the connection was lost");
    }
    Ok(ListenEnd::Over)
}

fn hear(weak: &Weak<Mutex<Heard>>, key: &str) {
    let Some(heard) = weak.upgrade() else {
        return;
    };
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *heard {
        Heard::Keys(keys) if keys.len() < MOST => keys.push(key.to_owned()),
        _ => *heard = Heard::Everything,
    }
}

fn set(weak: &Weak<Mutex<Heard>>, to: Heard) {
    if let Some(heard) = weak.upgrade() {
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}
