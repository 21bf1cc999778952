//! TLS, by rustls.

use crate::settings::choice::{Choice, ClientCertificate};
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 8] = [
    Setting {
        name: "keyfile",
        section: Section::Tls,
        flags: &["--keyfile"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The private key of the certificate, in PEM, without a passphrase. If it is not set, \
               the key is in certfile. The master reads it, so only the user who starts it needs \
               access.",
        apply: |settings, text| {
            settings.tls.keyfile = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.tls.keyfile),
    },
    Setting {
        name: "certfile",
        section: Section::Tls,
        flags: &["--certfile"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The certificate of the server and its intermediate certificates, in PEM. It turns \
               TLS on, for all of bind. SIGHUP reads all TLS files again.",
        apply: |settings, text| {
            settings.tls.certfile = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.tls.certfile),
    },
    Setting {
        name: "ca_certs",
        section: Section::Tls,
        flags: &["--ca-certs"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The certificates of the authorities for client certificates, in PEM. cert_reqs needs \
               them.",
        apply: |settings, text| {
            settings.tls.ca_certs = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.tls.ca_certs),
    },
    Setting {
        name: "cert_reqs",
        section: Section::Tls,
        flags: &["--cert-reqs"],
        kind: Kind::Value("NUMBER"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "Whether clients need a certificate: 0 (ssl.CERT_NONE) no, 1 (ssl.CERT_OPTIONAL) it \
               is optional, 2 (ssl.CERT_REQUIRED) yes.",
        apply: |settings, text| {
            ClientCertificate::parse(text).map(|value| settings.tls.client_certificate = value)
        },
        show: |settings| settings.tls.client_certificate.word().to_owned(),
    },
    Setting {
        name: "ciphers",
        section: Section::Tls,
        flags: &["--ciphers"],
        kind: Kind::Value("LIST"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The cipher suites of TLS 1.2, in OpenSSL's form (openssl-ciphers(1)): names \
               separated by colons, and keywords such as ECDHE+AESGCM or !aRSA. All suites of TLS \
               1.3 are offered too, unless the list names some of them.",
        apply: |settings, text| {
            settings.tls.ciphers = parse::optional(text);
            Ok(())
        },
        show: |settings| show::optional(settings.tls.ciphers.as_deref()),
    },
    Setting {
        name: "ssl_version",
        section: Section::Tls,
        flags: &["--ssl-version"],
        kind: Kind::Value("NAME"),
        default: "TLS",
        bare: None,
        standing: Standing::NoEffect(
            "TLS 1.2 and 1.3 are offered, and a client takes the newest that it knows",
        ),
        help: "TLS 1.2 and 1.3 are offered. TLS 1.0, TLS 1.1 and SSL 3 are broken and refused.",
        apply: |settings, text| parse::tls_version(text).map(|value| settings.tls.version = value),
        show: |settings| settings.tls.version.clone(),
    },
    Setting {
        name: "suppress_ragged_eofs",
        section: Section::Tls,
        flags: &["--suppress-ragged-eofs"],
        kind: Kind::Switch,
        default: "true",
        bare: None,
        standing: Standing::NoEffect(
            "a connection that ends without the close of TLS is never an error of the application",
        ),
        help: "Whether a connection may end without TLS's close_notify.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.unused.keep("suppress_ragged_eofs", value))
        },
        show: |settings| settings.unused.show("suppress_ragged_eofs"),
    },
    Setting {
        name: "do_handshake_on_connect",
        section: Section::Tls,
        flags: &["--do-handshake-on-connect"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::NoEffect("a handshake holds no thread, whenever it is made"),
        help: "When the handshake happens.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.unused.keep("do_handshake_on_connect", value))
        },
        show: |settings| settings.unused.show("do_handshake_on_connect"),
    },
];
