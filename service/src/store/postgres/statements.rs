//! The prepared statements of a connection, by their text, and what happens if the server does not know one any more.
//!
//! ```text
//!   0A000  the plan of a statement is of no use: a column has another type     prepare again
//!   26000  there is no such statement  \  a pooler gives each transaction      send statements
//!   42P05  there is one already        |  another session                      unprepared from now on
//!   08P01  it has other parameters    /
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::warn;
use postgres::error::{DbError, Severity, SqlState};
use postgres::types::{ToSql, Type};
use postgres::{GenericClient, Row, Statement};

/// A statement of another client has the name of ours. A lost connection has the same code, but the severity FATAL.
fn is_of_another_statement(answer: &DbError) -> bool {
    *answer.code() == SqlState::PROTOCOL_VIOLATION
        && answer.parsed_severity() == Some(Severity::Error)
        && answer.message().starts_with("bind message")
}

/// A Rust value with one type in SQL.
pub(super) trait Typed {
    const TYPE: Type;
}

impl Typed for i64 {
    const TYPE: Type = Type::INT8;
}

impl Typed for i16 {
    const TYPE: Type = Type::INT2;
}

impl Typed for f64 {
    const TYPE: Type = Type::FLOAT8;
}

impl Typed for bool {
    const TYPE: Type = Type::BOOL;
}

impl Typed for str {
    const TYPE: Type = Type::TEXT;
}

impl Typed for String {
    const TYPE: Type = Type::TEXT;
}

impl Typed for [i64] {
    const TYPE: Type = Type::INT8_ARRAY;
}

impl Typed for [String] {
    const TYPE: Type = Type::TEXT_ARRAY;
}

impl Typed for Vec<String> {
    const TYPE: Type = Type::TEXT_ARRAY;
}

impl<T: Typed + ?Sized> Typed for &T {
    const TYPE: Type = T::TYPE;
}

impl<T: Typed> Typed for Option<T> {
    const TYPE: Type = T::TYPE;
}

/// A parameter of a statement: one that is not prepared has to name the types itself.
pub(super) trait Parameter: ToSql + Sync {
    fn sql_type(&self) -> Type;
}

impl<T: Typed + ToSql + Sync> Parameter for T {
    fn sql_type(&self) -> Type {
        T::TYPE
    }
}

/// Parameters of a statement.
pub(super) type Values<'a> = &'a [&'a dyn Parameter];

/// Whether statements are prepared, for all connections of a process.
pub(super) struct Preparing {
    /// The server, as messages name it.
    place: String,
    is_off: AtomicBool,
    /// Counts how often all prepared statements became unusable.
    era: AtomicU64,
}

impl Preparing {
    pub(super) fn new(place: String) -> Self {
        Self {
            place,
            is_off: AtomicBool::new(false),
            era: AtomicU64::new(0),
        }
    }

    /// Has statements sent unprepared.
    pub(super) fn turn_off(&self, why: &dyn fmt::Display) {
        if !self.is_off.swap(true, Ordering::AcqRel) {
            warn!(
                "{} does not keep prepared statements ({why}), as poolers do that give each transaction \
                 another session: statements are sent unprepared from now on",
                self.place
            );
        }
    }
}

/// The prepared statements of one connection.
pub(super) struct Statements {
    prepared: HashMap<String, Statement>,
    era: u64,
    preparing: Arc<Preparing>,
}

impl Statements {
    pub(super) fn new(preparing: Arc<Preparing>) -> Self {
        Self {
            prepared: HashMap::new(),
            era: preparing.era.load(Ordering::Acquire),
            preparing,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.prepared.len()
    }

    pub(super) fn query(
        &mut self,
        client: &mut impl GenericClient,
        sql: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, postgres::Error> {
        if self.preparing.is_off.load(Ordering::Acquire) {
            return client.query_typed(sql, &typed(values));
        }
        let statement = self.prepare(client, sql)?;
        client.query(&statement, &untyped(values))
    }

    /// Returns the number of rows.
    pub(super) fn execute(
        &mut self,
        client: &mut impl GenericClient,
        sql: &str,
        values: Values<'_>,
    ) -> Result<u64, postgres::Error> {
        if self.preparing.is_off.load(Ordering::Acquire) {
            return client.execute_typed(sql, &typed(values));
        }
        let statement = self.prepare(client, sql)?;
        client.execute(&statement, &untyped(values))
    }

    /// Whether `error` means that prepared statements are unusable. Then all connections drop theirs, and the statement
    /// may be sent again.
    pub(super) fn are_stale(&mut self, error: &postgres::Error) -> bool {
        let Some(answer) = error.as_db_error() else {
            return false;
        };
        let code = answer.code();
        if [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ]
        .contains(code)
            || is_of_another_statement(answer)
        {
            self.preparing.turn_off(&answer.message());
        } else if *code != SqlState::FEATURE_NOT_SUPPORTED {
            return false;
        }
        self.preparing.era.fetch_add(1, Ordering::AcqRel);
        self.prepared.clear();
        true
    }

    fn prepare(
        &mut self,
        client: &mut impl GenericClient,
        sql: &str,
    ) -> Result<Statement, postgres::Error> {
        let era = self.preparing.era.load(Ordering::Acquire);
        if era != self.era {
            self.era = era;
            self.prepared.clear();
        }
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = client.prepare(sql)?;
        self.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn typed<'a>(values: Values<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let with_type = |value: &&'a dyn Parameter| (*value as &(dyn ToSql + Sync), value.sql_type());
    values.iter().map(with_type).collect()
}

fn untyped<'a>(values: Values<'a>) -> Vec<&'a (dyn ToSql + Sync)> {
    values
        .iter()
        .map(|&value| value as &(dyn ToSql + Sync))
        .collect()
}
