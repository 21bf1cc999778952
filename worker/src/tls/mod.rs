//! TLS 1.2 and 1.3 by rustls: the files that the master reads, and the sessions of a worker.
//!
//! ```text
//!   master   identity   certificate and key, read with the master's rights at start and on SIGHUP
//!            ciphers    OpenSSL's names of cipher suites
//!   worker   session    a connection's keys and buffers
//! ```
//!
//! No thread waits in here: available bytes are read, decrypted, encrypted, and written as far as the socket takes
//! them. The event loop makes the handshakes.

mod ciphers;
mod error;
mod identity;
mod session;

use std::sync::Arc;

use oxicorn_common::Settings;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{ServerConfig, crypto::ring};

use oxicorn_common::settings::{ClientCertificate, TlsSettings};

pub use error::TlsError;
pub(crate) use error::explain_certificate_error;
pub(crate) use session::{Handshake, TlsSession};

/// The settings that name the files, for messages.
#[derive(Debug)]
struct TlsNames {
    certfile: &'static str,
    keyfile: &'static str,
    ca_certs: &'static str,
    /// The one that asks clients for a certificate.
    client: &'static str,
}

const PUBLIC: TlsNames = TlsNames {
    certfile: "certfile",
    keyfile: "keyfile",
    ca_certs: "ca_certs",
    client: "cert_reqs",
};

const ADMIN: TlsNames = TlsNames {
    certfile: "admin_certfile",
    keyfile: "admin_keyfile",
    ca_certs: "admin_ca_certs",
    client: "admin_ca_certs",
};

const LONGEST_TICKET: usize = 16 * 1024;

/// All that a worker needs to speak TLS. The master makes it, because children may not be allowed to read
/// the files.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    config: Arc<ServerConfig>,
    names: &'static TlsNames,
}

impl TlsConfig {
    /// Reads the files that `settings` name for the clients of the server; `None` if they do not ask for TLS.
    pub fn load(settings: &Settings) -> Result<Option<Self>, TlsError> {
        Self::of(&settings.tls, &PUBLIC)
    }

    /// The same for the clients of the admin process.
    pub fn load_admin(settings: &Settings) -> Result<Option<Self>, TlsError> {
        Self::of(&settings.admin.tls, &ADMIN)
    }

    fn of(tls: &TlsSettings, names: &'static TlsNames) -> Result<Option<Self>, TlsError> {
        let Some(certfile) = &tls.certfile else {
            return match &tls.keyfile {
                Some(_) => Err(TlsError::NoCertfile),
                None => Ok(None),
            };
        };
        let keyfile = tls.keyfile.as_ref();
        let chain = identity::certificates(names.certfile, certfile)?;
        let key = match keyfile {
            Some(file) => identity::key(names.keyfile, file)?,
            None => identity::key(names.certfile, certfile)?,
        };
        let mut provider = ring::default_provider();
        if let Some(list) = &tls.ciphers {
            provider.cipher_suites = ciphers::select(list)?;
        }
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Rustls)?;
        let builder = match tls.client_certificate {
            ClientCertificate::None => builder.with_no_client_auth(),
            required => {
                let file = tls.ca_certs.as_ref().ok_or(TlsError::NoCaCerts)?;
                let roots = Arc::new(identity::roots(names.ca_certs, file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match required {
                    ClientCertificate::Optional => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|source| {
                    TlsError::Verifier {
                        setting: names.ca_certs,
                        source,
                    }
                })?)
            }
        };
        let mut config =
            builder
                .with_single_cert(chain, key)
                .map_err(|source| TlsError::Identity {
                    settings: [names.certfile, names.keyfile],
                    certfile: certfile.clone(),
                    keyfile: keyfile.unwrap_or(certfile).clone(),
                    source: Box::new(source),
                })?;
        // If the settings have a list, its order counts, as in Python's ssl.
        config.ignore_client_order = tls.ciphers.is_some();
        config.ticketer = ticketer()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Some(Self {
            config: Arc::new(config),
            names,
        }))
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The setting that asks clients for a certificate.
    pub(crate) fn client_setting(&self) -> &'static str {
        self.names.client
    }
}

/// Seals sessions into tickets with keys that all workers inherit, so that clients can resume with any
/// worker; a cache would know only its own worker's sessions. After six hours each worker makes new keys,
/// and a client that comes to another one makes a full handshake.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    let ticketer = ring::Ticketer::new().map_err(TlsError::Rustls)?;
    // It accepts no ticket that is longer than the longest it has made, so a worker would reject its siblings'
    // tickets until it has made one. This one is longer than a ticket with certificates.
    let _ = ticketer.encrypt(&[0; LONGEST_TICKET]);
    Ok(ticketer)
}
