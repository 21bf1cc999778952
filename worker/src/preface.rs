//! What precedes the first request of a connection: the header of the PROXY protocol, then the handshake of
//! TLS. The event loop takes a step each time the client has sent something; no thread waits.
//!
//! ```text
//!   proxy header? --> first byte --> handshake --> requests
//!      (where it is on)    (where TLS is on)
//! ```

use std::sync::Arc;

use log::{debug, warn};
use oxicorn_common::Settings;
use oxicorn_common::request::{Local, Peer};
use oxicorn_common::settings::{Peers, ProxyProtocol};

use crate::connection::{Arrived, Connection, PrefaceState};
use crate::http::RequestError;
use crate::proxy_header::{Beginning, ProxyHeader, begins_with, read_v1, read_v2};
use crate::tls::{Handshake, TlsConfig, TlsSession, explain_certificate_error};
use crate::transport::Transport;

/// The first byte of a handshake: the type of its record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// The prefaces that the settings ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preface {
    proxy: ProxyProtocol,
    proxies: Peers,
    tls: Option<TlsConfig>,
}

/// How far the preface of a connection has come.
#[derive(Debug)]
pub(crate) enum PrefaceOutcome {
    /// Requests may come.
    Complete,
    /// More bytes are needed.
    Waiting,
    /// The client has left.
    Gone,
    Refused(RequestError),
    /// The handshake has failed, and a TLS alert has told the client.
    Failed,
}

/// The result of one step.
enum PrefaceStep {
    Next(Option<PrefaceState>),
    More,
    End(PrefaceOutcome),
}

impl Preface {
    pub(crate) fn new(settings: &Settings, tls: Option<TlsConfig>) -> Self {
        Self {
            tls,
            proxy: settings.proxy.protocol,
            proxies: settings.proxy.protocol_peers.clone(),
        }
    }

    /// The first part of the preface; `None` if there is no preface.
    pub(crate) fn first(&self) -> Option<PrefaceState> {
        match self.proxy {
            ProxyProtocol::Off => self.after_proxy_header(),
            _ => Some(PrefaceState::ProxyHeader),
        }
    }

    /// Checks what a sibling reports about the client of a connection.
    pub(crate) fn verify(&self, connection: &mut Connection) {
        connection.verify_identity(|sender| {
            self.proxy != ProxyProtocol::Off && self.may_name_clients(sender)
        });
    }

    fn after_proxy_header(&self) -> Option<PrefaceState> {
        self.tls.as_ref().map(|_| PrefaceState::FirstByte)
    }

    /// Continues the preface of `connection` from `state` as long as there are bytes. Takes part in a handshake
    /// only if it `may_shake`: otherwise the connection asks for another turn.
    pub(crate) fn advance(
        &self,
        connection: &mut Connection,
        mut state: PrefaceState,
        may_shake: bool,
    ) -> PrefaceOutcome {
        loop {
            let step = match state {
                PrefaceState::New => PrefaceStep::Next(self.first()),
                PrefaceState::ProxyHeader => self
                    .read_proxy_header(connection)
                    .unwrap_or_else(|error| PrefaceStep::End(PrefaceOutcome::Refused(error))),
                PrefaceState::FirstByte => look_at_first_byte(connection),
                PrefaceState::Hello | PrefaceState::Handshake if !may_shake => {
                    connection.yield_turn();
                    PrefaceStep::End(PrefaceOutcome::Waiting)
                }
                PrefaceState::Hello => self.begin_tls(connection),
                PrefaceState::Handshake => self.shake_hands(connection),
            };
            match step {
                PrefaceStep::Next(None) => return PrefaceOutcome::Complete,
                PrefaceStep::Next(Some(next)) => {
                    connection.lifecycle_mut().advance_preface(next);
                    state = next;
                }
                PrefaceStep::More => match connection.read_preface() {
                    Arrived::Octets(_) => {}
                    Arrived::Nothing => return PrefaceOutcome::Waiting,
                    Arrived::End => return PrefaceOutcome::Gone,
                },
                PrefaceStep::End(outcome) => return outcome,
            }
        }
    }

    fn shake_hands(&self, connection: &mut Connection) -> PrefaceStep {
        let Transport::Tls(session) = connection.transport() else {
            return PrefaceStep::Next(None);
        };
        match session.shake_hands() {
            Handshake::Done => {
                connection.become_secure();
                PrefaceStep::Next(None)
            }
            Handshake::Waiting => {
                connection.found_empty();
                PrefaceStep::End(PrefaceOutcome::Waiting)
            }
            Handshake::Gone => PrefaceStep::End(PrefaceOutcome::Gone),
            Handshake::Failed(error) => {
                connection.drop_tls();
                self.fail(connection, &error)
            }
        }
    }

    /// Logs why TLS with a client failed. Only a missing or bad certificate concerns the operator, who has asked for
    /// certificates: all other causes are scanners and old clients.
    fn fail(&self, connection: &Connection, error: &rustls::Error) -> PrefaceStep {
        let peer = connection.peer();
        let setting = self.tls.as_ref().map_or("", TlsConfig::client_setting);
        match error {
            rustls::Error::NoCertificatesPresented => {
                warn!("TLS handshake with {peer} failed: {error} ({setting})");
            }
            rustls::Error::InvalidCertificate(reason) => {
                let reason = explain_certificate_error(reason);
                warn!("TLS handshake with {peer} failed: {reason} ({setting})");
            }
            _ => debug!("TLS handshake with {peer} failed: {error}"),
        }
        PrefaceStep::End(PrefaceOutcome::Failed)
    }

    /// Reads the header, if there is one.
    fn read_proxy_header(&self, connection: &mut Connection) -> Result<PrefaceStep, RequestError> {
        let input = connection.unread();
        let beginning = begins_with(input, self.proxy);
        let header = match beginning {
            Beginning::Unknown => return Ok(PrefaceStep::More),
            Beginning::Client => return Ok(PrefaceStep::Next(self.after_proxy_header())),
            Beginning::V1 | Beginning::V2 if !self.may_name_clients(connection.peer()) => {
                return Err(RequestError::ProxyForbidden);
            }
            Beginning::V1 => read_v1(input),
            Beginning::V2 => read_v2(input),
        };
        let Some(ProxyHeader { length, route }) = header.map_err(RequestError::ProxyHeader)? else {
            return Ok(PrefaceStep::More);
        };
        connection.consume(length);
        if let Some(route) = route {
            let peer = connection.peer();
            debug!("{peer} is {} by PROXY protocol", route.source);
            let (source, destination) = (Peer::Tcp(route.source), Local::Tcp(route.destination));
            connection
                .identity_mut()
                .become_proxied(source, destination);
        }
        Ok(PrefaceStep::Next(self.after_proxy_header()))
    }

    /// Puts TLS on top of the socket.
    fn begin_tls(&self, connection: &mut Connection) -> PrefaceStep {
        let Some(tls) = &self.tls else {
            return PrefaceStep::Next(None);
        };
        let socket = Arc::clone(connection.transport().socket());
        let unread = connection.unread();
        let length = unread.len();
        let session = TlsSession::new(tls, socket, unread);
        connection.consume(length);
        match session {
            Ok(session) => {
                connection.begin_tls(session);
                PrefaceStep::Next(Some(PrefaceState::Handshake))
            }
            Err(error) => self.fail(connection, &error),
        }
    }

    /// Whether `peer` may name other clients. A peer on a Unix socket may: the permissions of the socket file
    /// have admitted it.
    fn may_name_clients(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => self.proxies.contains(address.ip()),
        }
    }
}

/// Tells TLS from other protocols.
fn look_at_first_byte(connection: &Connection) -> PrefaceStep {
    match connection.unread().first() {
        None => PrefaceStep::More,
        Some(&HANDSHAKE_RECORD) => PrefaceStep::Next(Some(PrefaceState::Hello)),
        Some(first) if first.is_ascii_alphabetic() => {
            PrefaceStep::End(PrefaceOutcome::Refused(RequestError::WithoutTls))
        }
        Some(_) => {
            debug!("{} speaks neither TLS nor HTTP", connection.peer());
            PrefaceStep::End(PrefaceOutcome::Gone)
        }
    }
}
