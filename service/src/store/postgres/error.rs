//! Sorts errors by what they mean for a change. No other file knows SQLSTATEs.

use std::error::Error;
use std::io;

use postgres::error::{DbError, Severity, SqlState};
use rustls::CertificateError;

use crate::store::StoreError;

/// Whether the connection is gone, or will be. The server ends it after an error of the severity FATAL or PANIC, whatever
/// the code ("Error Message Fields" in its manual), and so do poolers.
pub(super) fn is_loss(error: &postgres::Error) -> bool {
    match error.as_db_error() {
        Some(answer) => is_fatal(answer) || is_farewell(answer.code()),
        None => error.is_closed() || is_io(error),
    }
}

/// An error while only reading, or before a commit was sent: nothing was changed.
pub(super) fn of_read(error: postgres::Error) -> StoreError {
    if is_loss(&error) {
        return StoreError::Lost(anyhow::Error::new(error));
    }
    match error.as_db_error() {
        Some(answer) => of_answer(answer).unwrap_or(StoreError::Postgres(error)),
        None => StoreError::Postgres(error),
    }
}

/// An error during a commit.
pub(super) fn of_commit(error: postgres::Error) -> StoreError {
    match is_loss(&error) {
        true => StoreError::Unknown(anyhow::Error::new(error)),
        false => of_read(error),
    }
}

/// Whether another attempt to connect may succeed without a change of settings.
pub(super) fn is_temporary(error: &postgres::Error) -> bool {
    if error.as_db_error().is_some() {
        return is_temporary_answer(error);
    }
    let text = error.to_string();
    // The crate tells these apart by their texts only.
    match text.starts_with("error performing TLS") {
        true => was_cut_off(error),
        false => ["invalid configuration", "authentication"]
            .iter()
            .all(|kind| !text.starts_with(kind)),
    }
}

/// As [`is_temporary`], for errors of the server: it has no room, starts, stops, or is read-only.
pub(super) fn is_temporary_answer(error: &postgres::Error) -> bool {
    let Some(answer) = error.as_db_error() else {
        return false;
    };
    let code = answer.code();
    if *code == SqlState::PROTOCOL_VIOLATION {
        // The one code of pgbouncer for all its errors at a login.
        let settings = ["no such", "unsupported startup parameter"];
        return !settings.iter().any(|it| answer.message().contains(it));
    }
    // Connections, resources, conflicts, an operator, the system.
    let classes = ["08", "40", "53", "55P03", "57", "58"];
    *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || classes.iter().any(|class| code.code().starts_with(class))
}

/// What an operator can do about errors of connecting that do not pass.
pub(super) fn advice(error: &postgres::Error) -> Option<&'static str> {
    if let Some(answer) = error.as_db_error() {
        let code = answer.code();
        let is_login = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        ];
        return if is_login.contains(code) {
            Some("check user, password and sslmode of the URL, and pg_hba.conf of the server")
        } else if *code == SqlState::INVALID_CATALOG_NAME {
            Some("create that database, or name another")
        } else {
            None
        };
    }
    match tls_cause(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => Some(match problem {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "name the host as its certificate does, or say sslmode=verify-ca"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew the certificate of the server"
            }
            _ => {
                "name the authority that issued the certificate of the server with sslrootcert=PATH"
            }
        }),
        Some(_) => None,
        None if format!("{error:?}").contains("does not support TLS") => {
            Some("turn TLS on there (ssl = on), or say sslmode=prefer")
        }
        None if format!("{error:?}").contains("password missing") => {
            Some("the server wants a password, and the URL has none")
        }
        None => None,
    }
}

/// The other side closed the connection during a handshake.
fn was_cut_off(error: &postgres::Error) -> bool {
    is_io(error) && tls_cause(error).is_none()
}

fn tls_cause(error: &postgres::Error) -> Option<&rustls::Error> {
    // `source` of an io::Error skips the error that it was made of.
    let cause = error.source()?.downcast_ref::<io::Error>()?;
    cause.get_ref()?.downcast_ref()
}

impl From<postgres::Error> for StoreError {
    fn from(error: postgres::Error) -> Self {
        of_read(error)
    }
}

fn of_answer(answer: &DbError) -> Option<StoreError> {
    let code = answer.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return match answer.constraint() {
            Some("users_username") => Some(StoreError::Taken("username")),
            Some("users_email") => Some(StoreError::Taken("email")),
            _ => None,
        };
    }
    if [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
    {
        return Some(StoreError::Conflict(anyhow::anyhow!("{answer}")));
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Some(StoreError::NoChanges("it is read-only".to_owned()));
    }
    if *code == SqlState::DISK_FULL {
        return Some(StoreError::NoChanges("its disk is full".to_owned()));
    }
    // A time limit that the URL's `options` or the role sets.
    if [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE].contains(code) {
        return Some(StoreError::Busy(None));
    }
    if [
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        SqlState::UNTRANSLATABLE_CHARACTER,
    ]
    .contains(code)
    {
        return Some(StoreError::Text);
    }
    is_full(code).then(|| StoreError::Unreachable(answer.to_string()))
}

fn is_fatal(answer: &DbError) -> bool {
    match answer.parsed_severity() {
        Some(severity) => [Severity::Fatal, Severity::Panic].contains(&severity),
        // Poolers leave out the field that is never translated.
        None => ["FATAL", "PANIC"].contains(&answer.severity()),
    }
}

/// Class 57: an operator ends the connection, or the server is starting or stopping.
fn is_farewell(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ]
    .contains(code)
}

fn is_full(code: &SqlState) -> bool {
    *code == SqlState::TOO_MANY_CONNECTIONS
}

fn is_io(error: &postgres::Error) -> bool {
    error
        .source()
        .is_some_and(|source| source.is::<io::Error>())
}
