//! What the server calls itself.

/// For applications: they look for gunicorn's name to tell which server they run under. The form is that
/// of RFC 3875 section 4.1.17, a product and a comment.
pub const SERVER_SOFTWARE: &str =
    concat!("gunicorn/27.0.1 (oxicorn/", env!("CARGO_PKG_VERSION"), ")");
