//! A connection, its prepared statements, and how it is opened.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postgres::{Client, GenericClient, Row};
use r2d2::ManageConnection;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::change::PgChange;
use super::statements::{Preparing, Statements, Values};
use super::target::{PgTarget, UNACKNOWLEDGED};
use super::{error, migrations};
use crate::store::StoreError;

pub(super) struct PgConnection {
    client: Client,
    statements: Statements,
}

impl fmt::Debug for PgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prepared = &self.statements.len();
        f.debug_struct("PgConnection")
            .field("prepared", prepared)
            .finish()
    }
}

impl PgConnection {
    /// Runs one statement, which is a transaction of its own.
    pub(super) fn rows(
        &mut self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, postgres::Error> {
        match self.statements.query(&mut self.client, sql, values) {
            Err(error) if self.statements.are_stale(&error) => {
                self.statements.query(&mut self.client, sql, values)
            }
            outcome => outcome,
        }
    }

    pub(super) fn row(
        &mut self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Option<Row>, postgres::Error> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// An error of the kind [`StoreError::Lost`] or none that matters: nothing has been changed.
    pub(super) fn begin(&mut self) -> Result<PgChange<'_>, StoreError> {
        let transaction = self.client.transaction().map_err(error::of_read)?;
        Ok(PgChange::new(transaction, &mut self.statements))
    }

    /// Whether the server answers within the time.
    pub(super) fn answers(&mut self, within: Duration) -> bool {
        self.client.is_valid(within).is_ok()
    }

    /// Whether the server accepts changes: it is no standby, and not read-only.
    pub(super) fn takes_changes(&mut self) -> Result<bool, postgres::Error> {
        let sql =
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";
        Ok(self.client.query_typed_one(sql, &[])?.get(0))
    }

    /// How many connections the server allows, and how many of them it reserves.
    pub(super) fn limits(&mut self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT current_setting('max_connections')::int8,
                       current_setting('superuser_reserved_connections')::int8";
        let row = self.client.query_typed_one(sql, &[])?;
        let number = |at| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
        Ok((number(0), number(1)))
    }

    /// The client of the crate, for locks and notifications.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Connect(postgres::Error),
    #[error("the tables cannot be made or brought up to date")]
    Migration(#[source] postgres::Error),
    #[error("its encoding is {0}, in which not every text can be kept")]
    Encoding(String),
}

impl ConnectError {
    /// Whether it may pass without a change of settings.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(error) => error::is_temporary(error),
            Self::Migration(error) => error::is_loss(error) || error::is_temporary_answer(error),
            Self::Encoding(_) => false,
        }
    }

    /// What an operator can do about it, if that is known.
    pub(super) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => error::advice(error),
            Self::Migration(_) => None,
            Self::Encoding(_) => {
                Some("make another: CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0")
            }
        }
    }
}

/// Opens connections. The first one brings the tables up to date.
pub(super) struct Manager {
    target: PgTarget,
    connector: MakeRustlsConnect,
    preparing: Arc<Preparing>,
    /// The server has a broker for the events of this database.
    publishes: bool,
    is_prepared: AtomicBool,
    is_pooled: OnceLock<bool>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

impl Manager {
    pub(super) fn new(target: PgTarget, publishes: bool) -> anyhow::Result<Self> {
        Ok(Self {
            connector: MakeRustlsConnect::new(target.trust.client_config("database_url")?),
            preparing: Arc::new(Preparing::new(target.name())),
            target,
            publishes,
            is_prepared: AtomicBool::new(false),
            is_pooled: OnceLock::new(),
        })
    }

    pub(super) fn target(&self) -> &PgTarget {
        &self.target
    }

    /// Whether a pooler gives each transaction another session. Then locks and notifications do not work. Checked once:
    /// while one client is inside a transaction, the session of another changes, or both have the same.
    pub(super) fn is_pooled(&self, one: &mut PgConnection) -> Result<bool, ConnectError> {
        const LOOKS: usize = 6;
        if let Some(&known) = self.is_pooled.get() {
            return Ok(known);
        }
        let look = |one: &mut PgConnection, other: &mut PgConnection| {
            let mut sessions = [0; 3];
            sessions[0] = session(&mut one.client)?;
            let mut transaction = other.client.transaction()?;
            sessions[1] = session(&mut transaction)?;
            sessions[2] = session(&mut one.client)?;
            transaction.rollback()?;
            Ok::<_, postgres::Error>(sessions[0] != sessions[2] || sessions[1] == sessions[0])
        };
        let mut other = self.connect()?;
        let mut found = false;
        for _ in 0..LOOKS {
            found = found || look(one, &mut other).map_err(ConnectError::Connect)?;
        }
        if found {
            // Another client's statement may have the name that one of ours has.
            self.preparing
                .turn_off(&"each transaction has another session");
        }
        Ok(*self.is_pooled.get_or_init(|| found))
    }

    /// Done by the first connection of a process, for all of them.
    fn prepare(&self, client: &mut Client) -> Result<(), ConnectError> {
        let sql = "SELECT current_setting('server_encoding')";
        let row = client
            .query_typed_one(sql, &[])
            .map_err(ConnectError::Connect)?;
        let encoding: String = row.get(0);
        if encoding != "UTF8" {
            return Err(ConnectError::Encoding(encoding));
        }
        migrations::run(client).map_err(ConnectError::Migration)?;
        if self.publishes {
            migrations::note_publishing(client).map_err(ConnectError::Migration)?;
        }
        Ok(())
    }
}

/// Has the server notice as soon as we do that the other machine is gone. By default it takes two hours, for which the
/// session of a lost host would keep its locks: on rows of tasks, and on the turn to publish.
fn notice_loss_of_client() -> String {
    let (all, part) = (UNACKNOWLEDGED.as_secs(), UNACKNOWLEDGED.as_secs() / 3);
    format!(
        "SET tcp_keepalives_idle = {part}; SET tcp_keepalives_interval = {part}; SET tcp_keepalives_count = 2;
         SET tcp_user_timeout = '{all}s'"
    )
}

/// The process id of the server's end.
fn session(client: &mut impl GenericClient) -> Result<i32, postgres::Error> {
    Ok(client
        .query_typed_one("SELECT pg_backend_pid()", &[])?
        .get(0))
}

impl ManageConnection for Manager {
    type Connection = PgConnection;
    type Error = ConnectError;

    fn connect(&self) -> Result<PgConnection, ConnectError> {
        let connected = self.target.config.connect(self.connector.clone());
        let mut client = connected.map_err(ConnectError::Connect)?;
        client
            .batch_execute(&notice_loss_of_client())
            .map_err(ConnectError::Connect)?;
        if !self.is_prepared.load(Ordering::Acquire) {
            self.prepare(&mut client)?;
            self.is_prepared.store(true, Ordering::Release);
        }
        Ok(PgConnection {
            client,
            statements: Statements::new(Arc::clone(&self.preparing)),
        })
    }

    fn is_valid(&self, connection: &mut PgConnection) -> Result<(), ConnectError> {
        connection
            .client
            .simple_query("")
            .map_err(ConnectError::Connect)?;
        Ok(())
    }

    fn has_broken(&self, connection: &mut PgConnection) -> bool {
        connection.client.is_closed()
    }
}
