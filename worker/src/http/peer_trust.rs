//! Whether the peer of a connection is trusted to name the client, and whether it came over TLS.

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PeerTrust {
    /// It may speak for clients; see `FieldPolicy::trusts`.
    pub(crate) trusted: bool,
    /// It came over TLS.
    pub(crate) secure: bool,
}
