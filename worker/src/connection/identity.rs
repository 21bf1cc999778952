//! The identity of a connection's client, and whether it may speak for others.

use std::net::{Ipv4Addr, SocketAddr};

use oxicorn_common::request::{Local, Peer};

use crate::http::{PeerTrust, Rules};
use crate::socket::Socket;

/// Addresses as the socket reports them, or as a PROXY protocol header gives them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClientIdentity {
    peer: Peer,
    /// The other end of the socket.
    sender: Peer,
    local: Local,
    proxied: bool,
    trust: PeerTrust,
}

impl ClientIdentity {
    pub(super) fn new(peer: Peer, local: Local) -> Self {
        Self {
            peer,
            sender: peer,
            local,
            proxied: false,
            trust: PeerTrust::default(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// The other end of the socket: a proxy, if a PROXY protocol header names the client.
    pub(crate) fn sender(&self) -> Peer {
        self.sender
    }

    pub(crate) fn local(&self) -> Local {
        self.local
    }

    /// Whether the addresses are from a PROXY protocol header.
    pub(crate) fn is_proxied(&self) -> bool {
        self.proxied
    }

    pub(crate) fn trust(&self) -> PeerTrust {
        self.trust
    }

    /// A PROXY protocol header names another client.
    pub(crate) fn become_proxied(&mut self, peer: Peer, local: Local) {
        (self.peer, self.local, self.proxied) = (peer, local, true);
    }

    /// Keeps the client that a sibling has read from a PROXY header only if the sender `may_name` other
    /// clients. Otherwise the client is the other end of the socket.
    pub(super) fn verify(&mut self, socket: &Socket, may_name: impl FnOnce(Peer) -> bool) {
        if !self.proxied {
            return;
        }
        // A connection that was reset meanwhile has no other end.
        let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let sender = socket.peer().unwrap_or(Peer::Tcp(nobody));
        if !may_name(sender) {
            (self.peer, self.proxied) = (sender, false);
        }
    }

    /// Finds out whether the other end of the socket may speak for clients. A PROXY protocol header names the
    /// client, not its sender; a socket that was reset names neither.
    pub(super) fn find_trust(&mut self, socket: &Socket, rules: &Rules) {
        let sender = match self.proxied {
            true => socket.peer(),
            false => Some(self.peer),
        };
        self.sender = sender.unwrap_or(self.peer);
        self.trust.trusted = sender.is_some_and(|peer| rules.fields.trusts(peer));
    }

    /// The handshake is complete: everything that follows comes over TLS.
    pub(super) fn become_secure(&mut self) {
        self.trust.secure = true;
    }
}
