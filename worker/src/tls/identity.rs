//! Certificates and keys from PEM files.

use std::path::Path;

use oxicorn_common::bounded_file::read_bounded;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use super::error::PemError;

/// The certificates of `path`, in their order: the server's own first, then its chain.
pub(super) fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(setting, path)?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem {
            setting,
            path: path.to_owned(),
            source: PemError(source),
        })?;
    match certificates.is_empty() {
        true => Err(TlsError::Missing {
            setting,
            path: path.to_owned(),
            what: "certificate",
        }),
        false => Ok(certificates),
    }
}

/// The first private key of `path`: PKCS #8, PKCS #1 or SEC 1.
pub(super) fn key(setting: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem;
    let text = read(setting, path)?;
    let path = path.to_owned();
    let has = |mark: &[u8]| text.windows(mark.len()).any(|it| it == mark);
    // The two marks of OpenSSL for a key with a passphrase.
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::Encrypted { setting, path });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Missing {
            setting,
            path,
            what: "private key",
        },
        source => TlsError::Pem {
            setting,
            path,
            source: PemError(source),
        },
    })
}

/// The certificates of `path`, as trusted roots.
pub(super) fn roots(setting: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(setting, path)? {
        store.add(certificate).map_err(|source| TlsError::Root {
            setting,
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(store)
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    read_bounded(path).map_err(|source| TlsError::Read {
        setting,
        path: path.to_owned(),
        source,
    })
}
