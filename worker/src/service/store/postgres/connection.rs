//! A connection with the statements that it has prepared, and how one is made.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, GenericClient, Row, Statement};
use r2d2::ManageConnection;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::change::Change;
use super::target::Target;
use super::{error, migrations};
use crate::service::store::StoreError;

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// By their text.
pub(super) type Statements = HashMap<String, Statement>;

pub(super) struct Connection {
    client: Client,
    statements: Statements,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prepared = &self.statements.len();
        f.debug_struct("Connection")
            .field("prepared", prepared)
            .finish()
    }
}

impl Connection {
    /// One statement, which is a transaction of its own.
    pub(super) fn rows(
        &mut self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = prepared(&mut self.client, &mut self.statements, sql)?;
        self.client.query(&statement, values)
    }

    pub(super) fn row(
        &mut self,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Option<Row>, postgres::Error> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    /// An error of the kind [`StoreError::Lost`] or none that matters: nothing has been changed.
    pub(super) fn begin(&mut self) -> Result<Change<'_>, StoreError> {
        let transaction = self.client.transaction().map_err(error::of_read)?;
        Ok(Change::new(transaction, &mut self.statements))
    }

    /// Whether the server answers within the time.
    pub(super) fn answers(&mut self, within: Duration) -> bool {
        self.client.is_valid(within).is_ok()
    }

    /// How many connections the server gives, and how many of them it keeps for itself.
    pub(super) fn limits(&mut self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT current_setting('max_connections')::int8,
                       current_setting('superuser_reserved_connections')::int8";
        let row = self.client.query_one(sql, &[])?;
        let number = |at| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
        Ok((number(0), number(1)))
    }

    /// For what goes beyond statements: locks and notifications.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// The statement, prepared on this connection if it was not yet.
pub(super) fn prepared(
    client: &mut impl GenericClient,
    statements: &mut Statements,
    sql: &str,
) -> Result<Statement, postgres::Error> {
    if let Some(statement) = statements.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(sql)?;
    statements.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Connect(postgres::Error),
    #[error("the tables cannot be made or brought up to date")]
    Migration(#[source] postgres::Error),
}

impl ConnectError {
    /// Whether it may pass without anybody changing a setting.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(error) => error::is_temporary(error),
            Self::Migration(error) => error::is_loss(error),
        }
    }

    /// What an operator may do about it, where that is known.
    pub(super) fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => error::advice(error),
            Self::Migration(_) => None,
        }
    }
}

/// Makes connections. The first one that succeeds brings the tables up to date.
pub(super) struct Manager {
    target: Target,
    connector: MakeRustlsConnect,
    is_migrated: AtomicBool,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

impl Manager {
    pub(super) fn new(target: Target) -> anyhow::Result<Self> {
        Ok(Self {
            connector: target.trust.connector()?,
            target,
            is_migrated: AtomicBool::new(false),
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = ConnectError;

    fn connect(&self) -> Result<Connection, ConnectError> {
        let connected = self.target.config.connect(self.connector.clone());
        let mut client = connected.map_err(ConnectError::Connect)?;
        if !self.is_migrated.load(Ordering::Acquire) {
            migrations::run(&mut client).map_err(ConnectError::Migration)?;
            self.is_migrated.store(true, Ordering::Release);
        }
        Ok(Connection {
            client,
            statements: HashMap::new(),
        })
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        connection
            .client
            .simple_query("")
            .map_err(ConnectError::Connect)?;
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.client.is_closed()
    }
}
