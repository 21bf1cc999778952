//! The error of a call, and the one place that maps errors to responses.

use http::StatusCode;
use log::error;
use oxicorn_common::Response;
use serde::Serialize;

use super::model::Status;
use super::store::StoreError;

/// One error in a body or a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldProblem {
    pub(crate) field: String,
    pub(crate) problem: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("there is no {0}")]
    NotFound(&'static str),
    #[error("this resource has other methods: {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("the body must be of type application/json")]
    MediaType,
    #[error("the body must not be compressed: no Content-Encoding but identity is taken")]
    Coding,
    #[error("the body is not JSON: {0}")]
    Json(serde_json::Error),
    #[error("{0} cannot be accepted")]
    Invalid(&'static str, Vec<FieldProblem>),
    #[error("the {0} is taken by another user")]
    Taken(&'static str),
    #[error("the task is {} already", .0.as_str())]
    Final(Status),
    #[error("the database is busy; try again in a second")]
    Busy,
    #[error("the database cannot be reached; try again in a few seconds")]
    Unreachable,
    #[error("the database takes no changes for now; try again in a few seconds")]
    NoChanges,
    #[error("the connection to the database was lost; the change may have been made or not")]
    Unknown(#[source] anyhow::Error),
    #[error("the server failed; its log has the reason")]
    Internal(#[source] anyhow::Error),
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    error: &'a str,
    message: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [FieldProblem],
}

impl Problem {
    /// One error in the body that only the store could find.
    pub(crate) fn field(field: &str, problem: &str) -> Self {
        let problem = FieldProblem {
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        Self::Invalid("the body", vec![problem])
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::MediaType | Self::Coding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
            }
            Self::Json(_) => (StatusCode::BAD_REQUEST, "BAD_JSON"),
            Self::Invalid(..) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
            Self::Taken(_) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::Final(_) => (StatusCode::BAD_REQUEST, "TASK_NOT_CANCELLABLE"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
            Self::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
            Self::NoChanges => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE"),
            Self::Unknown(_) => (StatusCode::INTERNAL_SERVER_ERROR, "OUTCOME_UNKNOWN"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
        }
    }

    /// The response to this call. Faults of the service are logged.
    pub(crate) fn into_response(self, method: &str, path: &str) -> Response {
        match &self {
            Self::Internal(cause) => {
                error!("Error in the task service: {method} {path}: {cause:#}")
            }
            Self::Unknown(cause) => error!(
                "{method} {path}: the connection to the database was lost during the commit ({cause:#}), so the \
                 change may have been made or not, and the client was told so (500 OUTCOME_UNKNOWN): see what the \
                 database holds, and its own log of this moment for why"
            ),
            _ => {}
        }
        let (status, code) = self.status_and_code();
        let problems = match &self {
            Self::Invalid(_, problems) => problems.as_slice(),
            _ => &[],
        };
        let body = ProblemBody {
            error: code,
            message: self.to_string(),
            problems,
        };
        // Texts and lists of texts, which can always be written as JSON.
        let response = Response::json(status, serde_json::to_vec(&body).unwrap_or_default());
        match self {
            Self::MethodNotAllowed { allow } => response.field("Allow", allow),
            // RFC 9110 section 15.5.16.
            Self::Coding => response.field("Accept-Encoding", "identity"),
            Self::Busy => response.field("Retry-After", "1"),
            Self::Unreachable | Self::NoChanges => response.field("Retry-After", "5"),
            _ => response,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) | StoreError::Conflict(_) => Self::Busy,
            StoreError::Unreachable(_) | StoreError::Lost(_) => Self::Unreachable,
            StoreError::NoChanges(_) => Self::NoChanges,
            StoreError::Text => Self::field("", "has a character that the database cannot hold"),
            StoreError::Unknown(cause) => Self::Unknown(cause),
            StoreError::Taken(field) => Self::Taken(field),
            other => Self::Internal(other.into()),
        }
    }
}

impl From<serde_json::Error> for Problem {
    /// A response that cannot be written as JSON. Bodies that cannot be read do not come this way.
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_should_come_back_is_told_when() {
        for (error, status, seconds) in [
            (StoreError::Busy(None), 503, Some("1")),
            (
                StoreError::Unreachable("refused".to_owned()),
                503,
                Some("5"),
            ),
            (StoreError::Lost(anyhow::anyhow!("closed")), 503, Some("5")),
            (StoreError::NoChanges("full".to_owned()), 503, Some("5")),
            // No `Retry-After`: a second attempt might do it twice.
            (StoreError::Unknown(anyhow::anyhow!("closed")), 500, None),
        ] {
            let response = Problem::from(error).into_response("GET", "/");
            let mut fields = response.fields.iter();
            let field = fields.find(|(name, _)| name == "Retry-After");
            let found = (response.status.as_u16(), field.map(|(_, value)| &**value));
            assert_eq!(found, (status, seconds.map(str::as_bytes)));
        }
    }
}
