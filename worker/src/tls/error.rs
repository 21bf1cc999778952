//! Why TLS is not possible: names the setting, the file, and a remedy.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("keyfile is set without certfile: name the certificate that belongs to the key")]
    NoCertfile,

    #[error("cert_reqs asks for certificates: name those who may vouch for them in ca_certs")]
    NoCaCerts,

    #[error("{setting}: cannot read {}", path.display())]
    Read {
        setting: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("{setting}: {} is not PEM", path.display())]
    Pem {
        setting: &'static str,
        path: PathBuf,
        #[source]
        source: PemError,
    },

    #[error("{setting}: {} has no {what}", path.display())]
    Missing {
        setting: &'static str,
        path: PathBuf,
        what: &'static str,
    },

    #[error("{setting}: the key in {} is encrypted: store it without a passphrase", path.display())]
    Encrypted {
        setting: &'static str,
        path: PathBuf,
    },

    #[error("{setting}: {} has a certificate that cannot be used", path.display())]
    Root {
        setting: &'static str,
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },

    #[error(
        "the certificate of {} {} and the key of {} {} cannot be used together",
        settings[0], certfile.display(), settings[1], keyfile.display()
    )]
    Identity {
        settings: [&'static str; 2],
        certfile: PathBuf,
        keyfile: PathBuf,
        #[source]
        source: Box<rustls::Error>,
    },

    #[error("ciphers: {0:?} is no cipher suite or keyword of OpenSSL")]
    UnknownCipher(String),

    #[error("ciphers: {0:?} leaves no cipher suite of TLS 1.2; there are: {1}")]
    NoCipher(String, String),

    #[error("{setting}: no client can be verified")]
    Verifier {
        setting: &'static str,
        #[source]
        source: VerifierBuilderError,
    },

    #[error("TLS cannot be set up")]
    Rustls(#[source] rustls::Error),
}

/// An error in a PEM file.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
pub struct PemError(pub pem::Error);

/// Why a client's certificate is not accepted.
pub(crate) fn explain_certificate_error(error: &rustls::CertificateError) -> String {
    // rustls has no variant of its own for it, and names it by a word of its source.
    match error.to_string() {
        text if text.contains("UnsupportedCertVersion") => {
            "the client's certificate is of X.509 version 1, and has to be of version 3 (with \
             openssl x509 -req: -extfile, or openssl req -x509 -CA)"
                .to_owned()
        }
        text => format!("the client's certificate is not accepted: {text}"),
    }
}
