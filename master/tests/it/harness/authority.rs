//! Certificates for tests, made by openssl(1).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};

const ELLIPTIC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/// A certificate authority.
#[derive(Debug)]
pub(crate) struct Authority {
    directory: PathBuf,
    pub(crate) identity: Identity,
}

/// The files of a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Makes an authority with its files in `directory`.
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let identity = Identity::named(directory, name);
        create(&identity, ELLIPTIC, &["-subj", &format!("/CN={name}")]);
        Self {
            directory: directory.to_owned(),
            identity,
        }
    }

    /// Issues a certificate for a server called localhost, or for a client.
    pub(crate) fn certify(&self, name: &str) -> Identity {
        self.certify_with_key(name, ELLIPTIC)
    }

    /// The same with a kind of key, as openssl-req(1) names it.
    pub(crate) fn certify_with_key(&self, name: &str, kind: &[&str]) -> Identity {
        let identity = Identity::named(&self.directory, name);
        let authority = [&self.identity.certificate, &self.identity.key].map(|it| text(it));
        let arguments = [
            ["-CA", &authority[0]],
            ["-CAkey", &authority[1]],
            ["-subj", &format!("/CN={name}")],
            ["-addext", "basicConstraints=critical,CA:FALSE"],
            ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        ];
        create(&identity, kind, &arguments.concat());
        identity
    }

    /// The TLS settings of a client that trusts this authority.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client_with(rustls::ALL_VERSIONS, None, &[])
    }

    /// The same with a certificate of its own, and with these versions and suites; an empty list of suites means all.
    pub(crate) fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
        suites: &[SupportedCipherSuite],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.identity.certificate())
            .expect("an authority");
        let mut provider: CryptoProvider = ring::default_provider();
        if !suites.is_empty() {
            provider.cipher_suites = suites.to_vec();
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions that there are")
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(own) => builder
                .with_client_auth_cert(vec![own.certificate()], own.private_key())
                .expect("a certificate and its key"),
        })
    }
}

impl Identity {
    fn named(directory: &Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).expect("a certificate")
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).expect("a key")
    }

    /// The flags of a server with this certificate.
    pub(crate) fn flags(&self) -> [String; 4] {
        let [certificate, key] = [&self.certificate, &self.key].map(|it| text(it));
        ["--certfile".into(), certificate, "--keyfile".into(), key]
    }
}

/// Makes a key and a certificate, self-signed unless the arguments say otherwise.
fn create(identity: &Identity, kind: &[&str], arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-newkey"])
        .args(kind)
        .arg("-out")
        .arg(&identity.certificate)
        .arg("-keyout")
        .arg(&identity.key)
        .args(arguments)
        .output()
        .expect("openssl is installed: scripts/install-deps test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path of ours").to_owned()
}
