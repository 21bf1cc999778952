//! The admin process.

use crate::settings::admin::admin_token;
use crate::settings::choice::ClientCertificate;
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 6] = [
    Setting {
        name: "admin_bind",
        section: Section::Admin,
        flags: &["--admin-bind"],
        kind: Kind::List("ADDRESS"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "Where the admin process listens: addresses as in bind, and none of bind's own. It \
               answers /metrics, /status, /healthz and /ready, and shows a live page on /, even \
               while every worker is stuck. If it is not set there is no such process. Addresses other than those of the loopback \
               interface and Unix sockets need admin_token, admin_token_file or admin_ca_certs.",
        apply: |settings, text| {
            match text {
                "" => settings.admin.bind.clear(),
                _ => settings.admin.bind.extend(parse::addresses(text)?),
            }
            Ok(())
        },
        show: |settings| show::list(&settings.admin.bind, ToString::to_string),
    },
    Setting {
        name: "admin_token",
        section: Section::Admin,
        flags: &[],
        kind: Kind::Secret("TOKEN"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The secret that every request to the admin process has to send, as Authorization: \
               Bearer TOKEN: 16 or more visible ASCII characters. It has no flag, because ps shows \
               command lines.",
        apply: |settings, text| {
            settings.admin.token = match text {
                "" => None,
                _ => Some(admin_token(text)?),
            };
            Ok(())
        },
        show: |settings| show::secret(settings.admin.token.as_deref()),
    },
    Setting {
        name: "admin_token_file",
        section: Section::Admin,
        flags: &["--admin-token-file"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The file with that secret, used if admin_token is not set. The master reads it at \
               the start and on SIGHUP, so only the user who starts it needs access.",
        apply: |settings, text| {
            settings.admin.token_file = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.admin.token_file),
    },
    Setting {
        name: "admin_certfile",
        section: Section::Admin,
        flags: &["--admin-certfile"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The certificate of the admin process, as certfile is that of the server. It turns TLS \
               on, for all of admin_bind.",
        apply: |settings, text| {
            settings.admin.tls.certfile = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.admin.tls.certfile),
    },
    Setting {
        name: "admin_keyfile",
        section: Section::Admin,
        flags: &["--admin-keyfile"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The private key of that certificate, in PEM, without a passphrase. If it is not set, \
               the key is in admin_certfile.",
        apply: |settings, text| {
            settings.admin.tls.keyfile = parse::path(text);
            Ok(())
        },
        show: |settings| show::path(&settings.admin.tls.keyfile),
    },
    Setting {
        name: "admin_ca_certs",
        section: Section::Admin,
        flags: &["--admin-ca-certs"],
        kind: Kind::Value("FILE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The certificates of the authorities for client certificates, in PEM. If it is set, \
               every client of the admin process needs one. It needs admin_certfile.",
        apply: |settings, text| {
            let file = parse::path(text);
            settings.admin.tls.client_certificate = match &file {
                Some(_) => ClientCertificate::Required,
                None => ClientCertificate::None,
            };
            settings.admin.tls.ca_certs = file;
            Ok(())
        },
        show: |settings| show::path(&settings.admin.tls.ca_certs),
    },
];
