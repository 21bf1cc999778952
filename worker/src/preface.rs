//! What a connection gets through before its first request: the header of the PROXY protocol, then
//! the handshake of TLS. Driven by the event loop, a step each time the client has sent something;
//! nobody waits here.
//!
//! ```text
//!   proxy header? --> first byte --> handshake --> requests
//!      (where it is on)    (where TLS is on)
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use log::{debug, warn};
use oxicorn_common::Settings;
use oxicorn_common::request::{Local, Peer};
use oxicorn_common::settings::{Peers, ProxyProtocol};

use crate::connection::{Buffers, Connection};
use crate::http::RequestError;
use crate::proxy_header::{Beginning, ProxyHeader, begins_with, read_v1, read_v2};
use crate::tls::{Handshake, TlsConfig, TlsSession};
use crate::transport::Transport;

/// The first byte of a handshake: the type of its record (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What is to come first on every connection, after the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preface {
    proxy: ProxyProtocol,
    proxies: Peers,
    tls: Option<TlsConfig>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrefaceState {
    /// It is new, and nothing has been looked at.
    Entrance,
    /// It may begin with a header of the PROXY protocol.
    ProxyHeader,
    /// Nothing has come that would tell TLS from anything else.
    FirstByte,
    /// A handshake has come, and is not looked at yet.
    Hello,
    Handshake,
}

/// What became of a step.
#[derive(Debug)]
pub(crate) enum PrefaceOutcome {
    /// Requests may come.
    Through,
    /// More bytes are needed.
    Waiting,
    /// The client has left.
    Gone,
    Refused(RequestError),
    /// The handshake has failed, and the client has been told as TLS tells it.
    Failed,
}

/// What became of one step.
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

    /// What comes first; `None` where nothing comes before a request.
    pub(crate) fn first(&self) -> Option<PrefaceState> {
        match self.proxy {
            ProxyProtocol::Off => self.after_proxy_header(),
            _ => Some(PrefaceState::ProxyHeader),
        }
    }

    /// Takes away what a header is said to have told of a connection that a sibling has handed over,
    /// unless the sender may name other clients here: its client is who the socket says then.
    pub(crate) fn doubt(&self, connection: &mut Connection) {
        if !connection.proxied {
            return;
        }
        // Nobody is where a connection has been reset meanwhile.
        let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let sender = connection.transport.peer().unwrap_or(Peer::Tcp(nobody));
        if self.proxy == ProxyProtocol::Off || !self.admits(sender) {
            connection.peer = sender;
            connection.proxied = false;
        }
    }

    fn after_proxy_header(&self) -> Option<PrefaceState> {
        self.tls.as_ref().map(|_| PrefaceState::FirstByte)
    }

    /// Goes on with the preface of `connection` for as long as there are bytes. With a handshake only
    /// where it `may_shake`: otherwise the connection stays eager.
    pub(crate) fn advance(
        &self,
        connection: &mut Connection,
        buffers: &mut Buffers,
        may_shake: bool,
    ) -> PrefaceOutcome {
        loop {
            let step = match connection.preface_state {
                None => return PrefaceOutcome::Through,
                Some(PrefaceState::Entrance) => PrefaceStep::Next(self.first()),
                Some(PrefaceState::ProxyHeader) => self
                    .read_proxy_header(connection, buffers)
                    .unwrap_or_else(|error| PrefaceStep::End(PrefaceOutcome::Refused(error))),
                Some(PrefaceState::FirstByte) => self.look_at_first_byte(connection, buffers),
                Some(PrefaceState::Hello | PrefaceState::Handshake) if !may_shake => {
                    connection.eager = true;
                    PrefaceStep::End(PrefaceOutcome::Waiting)
                }
                Some(PrefaceState::Hello) => self.begin_tls(connection, buffers),
                Some(PrefaceState::Handshake) => shake_hands(connection),
            };
            match step {
                PrefaceStep::Next(next) => connection.preface_state = next,
                PrefaceStep::More => match read_more(connection, buffers) {
                    Ok(true) => {}
                    Ok(false) => return PrefaceOutcome::Waiting,
                    Err(_) => return PrefaceOutcome::Gone,
                },
                PrefaceStep::End(passed) => return passed,
            }
        }
    }

    /// Finds whether there is a header, and what it says.
    fn read_proxy_header(
        &self,
        connection: &mut Connection,
        buffers: &mut Buffers,
    ) -> Result<PrefaceStep, RequestError> {
        let input = buffers.input.filled();
        let beginning = begins_with(input, self.proxy);
        let header = match beginning {
            Beginning::Unknown => return Ok(PrefaceStep::More),
            Beginning::Client => return Ok(PrefaceStep::Next(self.after_proxy_header())),
            Beginning::V1 | Beginning::V2 if !self.admits(connection.peer) => {
                return Err(RequestError::ProxyForbidden);
            }
            Beginning::V1 => read_v1(input),
            Beginning::V2 => read_v2(input),
        };
        let Some(ProxyHeader { length, route }) = header.map_err(RequestError::ProxyHeader)? else {
            return Ok(PrefaceStep::More);
        };
        buffers.input.consume(length);
        if let Some(route) = route {
            debug!("{} is {} by PROXY protocol", connection.peer, route.source);
            connection.peer = Peer::Tcp(route.source);
            connection.local = Local::Tcp(route.destination);
            connection.proxied = true;
        }
        Ok(PrefaceStep::Next(self.after_proxy_header()))
    }

    /// Tells TLS from what else a client may speak.
    fn look_at_first_byte(&self, connection: &Connection, buffers: &Buffers) -> PrefaceStep {
        match buffers.input.filled().first() {
            None => PrefaceStep::More,
            Some(&HANDSHAKE_RECORD) => PrefaceStep::Next(Some(PrefaceState::Hello)),
            Some(first) if first.is_ascii_alphabetic() => {
                PrefaceStep::End(PrefaceOutcome::Refused(RequestError::WithoutTls))
            }
            Some(_) => {
                debug!("{} speaks neither TLS nor HTTP", connection.peer);
                PrefaceStep::End(PrefaceOutcome::Gone)
            }
        }
    }

    /// Puts TLS on top of the socket.
    fn begin_tls(&self, connection: &mut Connection, buffers: &mut Buffers) -> PrefaceStep {
        let Some(tls) = &self.tls else {
            return PrefaceStep::Next(None);
        };
        let socket = Arc::clone(&connection.transport);
        let session = TlsSession::new(tls, socket, buffers.input.filled());
        buffers.input.clear();
        match session {
            Ok(session) => {
                connection.transport = Arc::new(Transport::Tls(Box::new(session)));
                PrefaceStep::Next(Some(PrefaceState::Handshake))
            }
            Err(error) => fail(connection, &error),
        }
    }

    /// Whether `peer` may name other clients. The permissions of a socket file have let in who comes
    /// by it.
    fn admits(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unix => true,
            Peer::Tcp(address) => self.proxies.contains(address.ip()),
        }
    }
}

fn shake_hands(connection: &mut Connection) -> PrefaceStep {
    let stream = Arc::clone(&connection.transport);
    let Transport::Tls(session) = &*stream else {
        return PrefaceStep::Next(None);
    };
    match session.shake_hands() {
        Handshake::Done => {
            connection.trust.secure = true;
            connection.readable = true;
            PrefaceStep::Next(None)
        }
        Handshake::Waiting => {
            connection.readable = false;
            connection.hung_up = false;
            PrefaceStep::End(PrefaceOutcome::Waiting)
        }
        Handshake::Gone => PrefaceStep::End(PrefaceOutcome::Gone),
        Handshake::Failed(error) => {
            // What the client still sends is not worth deciphering.
            connection.transport = Arc::clone(session.socket());
            fail(connection, &error)
        }
    }
}

/// Tells why there is no TLS with a client. Only the lack of a good certificate is a matter for the
/// one who has asked for certificates: the rest is scanners and old clients.
fn fail(connection: &Connection, error: &rustls::Error) -> PrefaceStep {
    let peer = connection.peer;
    match error {
        rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
            warn!("TLS handshake with {peer} failed: {error} (cert_reqs)");
        }
        _ => debug!("TLS handshake with {peer} failed: {error}"),
    }
    PrefaceStep::End(PrefaceOutcome::Failed)
}

/// Reads once; false when there is nothing now, an error when there never will be.
fn read_more(connection: &mut Connection, buffers: &mut Buffers) -> io::Result<bool> {
    if !connection.readable && !connection.hung_up {
        return Ok(false);
    }
    let space = buffers.input.space();
    let room = space.len();
    match connection.transport.read(space) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            buffers.input.fill(count);
            connection.readable = count == room;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            connection.readable = false;
            connection.hung_up = false;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
