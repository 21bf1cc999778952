//! The errors of a request, and the one place that maps them to a status.

use http::StatusCode;

use super::storage::StorageError;
use crate::proxy_header::Malformed;

/// All but the last two are the client's fault. The connection is closed after the answer, because it is no
/// longer certain where the next request begins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request line is malformed")]
    RequestLine,
    #[error("the method is not a conventional token")]
    Method,
    #[error(
        "the request target has none of the forms that go with its method (RFC 9112 section 3.2)"
    )]
    Target,
    #[error(
        "the request target has a character that is to be percent-encoded, a fragment or a bad percent-encoding"
    )]
    TargetCharacter,
    #[error("the authority of the request target is no host with or without a port")]
    Authority,
    #[error(
        "the target is an https URI, on a connection without TLS and not from one of forwarded_allow_ips"
    )]
    Misdirected,
    #[error("the HTTP version is not supported")]
    Version,
    #[error("a line ends in a bare LF")]
    BareLf,
    #[error("a header field is malformed")]
    Field,
    #[error("the name of a header field has an underscore (header_map is refuse)")]
    Underscore,
    #[error("the fields of secure_scheme_headers contradict each other")]
    Scheme,
    #[error("the Content-Type field is repeated")]
    ContentType,
    #[error("the Host field is missing, repeated, or no host with or without a port")]
    Host,
    #[error("Content-Length is malformed, repeated or beyond 64 bits")]
    ContentLength,
    #[error("Transfer-Encoding is malformed, misplaced or beside Content-Length")]
    TransferEncoding,
    #[error("the transfer coding is not implemented")]
    TransferCoding,
    #[error("CONNECT is not implemented")]
    Connect,
    #[error("a chunk is malformed")]
    Chunk,
    #[error("Content-Length, Transfer-Encoding or Host stands in the trailer section")]
    Trailer,
    #[error("the expectation cannot be met")]
    Expectation,
    #[error("the request line is longer than limit_request_line")]
    LineTooLong,
    #[error("the request line is longer than limit_request_head, which is for a whole head")]
    LineBeyondHead,
    #[error("the header fields exceed limit_request_fields or limit_request_field_size")]
    FieldsTooLarge,
    #[error("the head is longer than limit_request_head")]
    HeadTooLarge,
    #[error("the body is longer than limit_request_body, or the limit of the application")]
    BodyTooLarge,
    #[error("the PROXY protocol header is malformed: {0}")]
    ProxyHeader(Malformed),
    #[error("it is not one of proxy_allow_ips and sends a PROXY protocol header")]
    ProxyForbidden,
    #[error("it speaks HTTP without TLS (certfile is set)")]
    WithoutTls,
    #[error("the head did not arrive in time (header_timeout)")]
    HeadTimeout,
    #[error("the body did not arrive in time (body_timeout, body_min_rate)")]
    BodyTimeout,
    #[error("no thread was free for it before the worker ended (graceful_timeout)")]
    NoThread,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl RequestError {
    /// A line for the person who uses the client, if one would help.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::WithoutTls => "This port speaks TLS: ask again with https.\n",
            _ => "",
        }
    }

    /// Whether the server is at fault, not the client.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::NoThread | Self::Storage(_))
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::TargetCharacter
            | Self::Authority
            | Self::Misdirected
            | Self::BareLf
            | Self::Field
            | Self::Underscore
            | Self::Scheme
            | Self::ContentType
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk
            | Self::Trailer
            | Self::WithoutTls
            | Self::ProxyHeader(_) => StatusCode::BAD_REQUEST,
            Self::ProxyForbidden => StatusCode::FORBIDDEN,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LineTooLong | Self::LineBeyondHead => StatusCode::URI_TOO_LONG,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::FieldsTooLarge | Self::HeadTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::TransferCoding | Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NoThread => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
