//! TLS to the backends, in libpq's modes: the first four only encrypt, `verify-ca` and `verify-full` also verify the
//! server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Which server is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    NoTls,
    /// Any server: encrypted if it supports that, or always if it is required.
    Anybody {
        required: bool,
    },
    /// A server with a certificate of an authority: one of the file, or one that the system trusts.
    Authority {
        root: Option<PathBuf>,
        checks_name: bool,
    },
}

impl Trust {
    pub(crate) fn new(sslmode: &str, root: Option<PathBuf>) -> Option<Self> {
        Some(match sslmode {
            "disable" => Self::NoTls,
            // libpq would try without TLS first. Trying with TLS first accepts the same servers.
            "allow" | "prefer" => Self::Anybody { required: false },
            // With an authority named, libpq verifies it (its manual, section 34.19.1).
            "require" if root.is_none() => Self::Anybody { required: true },
            "require" | "verify-ca" => Self::Authority {
                root,
                checks_name: false,
            },
            "verify-full" => Self::Authority {
                root,
                checks_name: true,
            },
            _ => return None,
        })
    }

    /// `setting` is the name of the setting, for messages.
    pub(crate) fn client_config(&self, setting: &str) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::NoTls | Self::Anybody { .. } => Arc::new(LenientVerifier {
                provider: Arc::clone(&provider),
                authority: None,
            }),
            Self::Authority { root, checks_name } => {
                let roots = Arc::new(roots(root.as_deref(), setting)?);
                let authority =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                        .build()
                        .with_context(|| format!("{setting}: no usable certificate authority"))?;
                match checks_name {
                    true => authority,
                    false => Arc::new(LenientVerifier {
                        provider: Arc::clone(&provider),
                        authority: Some(authority),
                    }),
                }
            }
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

fn roots(file: Option<&Path>, setting: &str) -> anyhow::Result<RootCertStore> {
    let parameter = match setting {
        "redis_url" => "ssl_ca_certs",
        _ => "sslrootcert",
    };
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        let (found, _) =
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if found == 0 {
            bail!(
                "{setting}: this system trusts no certificate authority; name one with {parameter}=PATH"
            );
        }
        return Ok(store);
    };
    let context = || format!("{setting}: {parameter}: cannot read {}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).with_context(context)? {
        store
            .add(certificate.with_context(context)?)
            .with_context(context)?;
    }
    if store.is_empty() {
        bail!(
            "{setting}: {parameter}: {} has no certificate",
            file.display()
        );
    }
    Ok(store)
}

/// Accepts any certificate, or any of the authority, for any name.
#[derive(Debug)]
struct LenientVerifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        let outcome =
            authority.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        match outcome {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
