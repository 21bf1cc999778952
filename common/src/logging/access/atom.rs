//! The atoms of an access line: the meaning of the names in a format.

use crate::identity::SERVER_SOFTWARE;

/// The meaning of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Atom {
    PeerAddress,
    PeerPort,
    User,
    Date,
    RequestLine,
    Status,
    Method,
    Target,
    Path,
    Query,
    Protocol,
    Scheme,
    BodyBytes,
    Seconds,
    Milliseconds,
    Microseconds,
    DecimalSeconds,
    Pid,
    /// The parts of a request's time. The proxy's may be unknown.
    ProxyQueueSeconds,
    QueueSeconds,
    ApplicationSeconds,
    SendSeconds,
    Timestamp,
    RequestId,
    TraceId,
    SpanId,
    /// Numbers of the worker.
    Age,
    Generation,
    /// The whole entry as a JSON object.
    Object,
    Constant(&'static str),
    /// The last request field of that name.
    RequestField(String),
    /// All request fields of that name with commas between them, as in a WSGI environment.
    JoinedRequestField(String),
    /// A variable of the WSGI environment that only the application knows, in lower case.
    Variable(String),
    /// The last response field of that name.
    ResponseField(String),
}

impl Atom {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "h" => Self::PeerAddress,
            "u" => Self::User,
            "t" => Self::Date,
            "r" => Self::RequestLine,
            "s" => Self::Status,
            "m" => Self::Method,
            "U" => Self::Path,
            "q" => Self::Query,
            "H" => Self::Protocol,
            "b" | "B" => Self::BodyBytes,
            "f" => Self::JoinedRequestField("referer".to_owned()),
            "a" => Self::JoinedRequestField("user-agent".to_owned()),
            "T" => Self::Seconds,
            "M" => Self::Milliseconds,
            "D" => Self::Microseconds,
            "L" => Self::DecimalSeconds,
            "p" => Self::Pid,
            _ => Self::braced(name).unwrap_or(Self::Constant("-")),
        }
    }

    /// `{name}i`, `{name}o`, `{name}e` and `{name}x`, in any case.
    fn braced(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (name, kind) = name.strip_prefix('{')?.rsplit_once('}')?;
        match kind {
            "i" => Some(Self::RequestField(name.to_owned())),
            "o" => Some(Self::ResponseField(name.to_owned())),
            "e" => Self::environment(name).or_else(|| Some(Self::Variable(name.to_owned()))),
            "x" => Self::extra(name),
            _ => None,
        }
    }

    /// What gunicorn has no atom for.
    fn extra(name: &str) -> Option<Self> {
        Some(match name {
            "proxy_queue" => Self::ProxyQueueSeconds,
            "queue" => Self::QueueSeconds,
            "application" => Self::ApplicationSeconds,
            "send" => Self::SendSeconds,
            "timestamp" => Self::Timestamp,
            "request_id" => Self::RequestId,
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            "age" => Self::Age,
            "generation" => Self::Generation,
            _ => return None,
        })
    }

    /// A variable of the WSGI environment (PEP 3333), as far as the server itself knows it.
    pub(super) fn environment(name: &str) -> Option<Self> {
        Some(match name {
            "request_method" => Self::Method,
            "raw_uri" => Self::Target,
            "path_info" => Self::Path,
            "query_string" => Self::Query,
            "server_protocol" => Self::Protocol,
            "remote_addr" => Self::PeerAddress,
            "remote_port" => Self::PeerPort,
            "script_name" => Self::Constant(""),
            "server_software" => Self::Constant(SERVER_SOFTWARE),
            "wsgi.url_scheme" => Self::Scheme,
            "content_type" => Self::RequestField("content-type".to_owned()),
            "content_length" => Self::RequestField("content-length".to_owned()),
            _ => Self::JoinedRequestField(name.strip_prefix("http_")?.replace('_', "-")),
        })
    }
}
