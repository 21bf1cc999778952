//! What is known of the other end of a connection before it has sent a request.

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PeerTrust {
    /// It may speak for clients; see `FieldPolicy::trusts`.
    pub(crate) trusted: bool,
    /// It came over TLS.
    pub(crate) secure: bool,
}
