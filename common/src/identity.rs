//! The name that applications see as SERVER_SOFTWARE. It begins with gunicorn's, because some look for that.

/// For applications, some of which look for gunicorn's name. A product and a comment, as RFC 3875 section 4.1.17
/// asks.
pub const SERVER_SOFTWARE: &str =
    concat!("gunicorn/27.0.1 (oxicorn/", env!("CARGO_PKG_VERSION"), ")");
