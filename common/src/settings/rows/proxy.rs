//! What a reverse proxy may report about its clients.

use crate::settings::choice::{Choice, ProxyProtocol};
use crate::settings::peers::Peers;
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 6] = [
    Setting {
        name: "proxy_protocol",
        section: Section::Proxy,
        flags: &["--proxy-protocol"],
        kind: Kind::Optional("MODE", "auto"),
        default: "off",
        bare: None,
        standing: Standing::Works,
        help: "Whether connections may begin with a header of the PROXY protocol, which names the \
               client: off, v1, v2, or auto for either version. The flag alone means auto. The \
               header comes before TLS and is optional.",
        apply: |settings, text| {
            ProxyProtocol::parse(text).map(|value| settings.proxy.protocol = value)
        },
        show: |settings| settings.proxy.protocol.word().to_owned(),
    },
    Setting {
        name: "proxy_allow_ips",
        section: Section::Proxy,
        flags: &["--proxy-allow-from"],
        kind: Kind::Value("ADDRESSES"),
        default: "127.0.0.1,::1",
        bare: None,
        standing: Standing::Works,
        help: "Who may send the header of the PROXY protocol: addresses and networks such as \
               10.0.0.0/8, separated by commas, or * for everybody.",
        apply: |settings, text| {
            Peers::parse(text).map(|value| settings.proxy.protocol_peers = value)
        },
        show: |settings| settings.proxy.protocol_peers.to_string(),
    },
    Setting {
        name: "forwarded_allow_ips",
        section: Section::Proxy,
        flags: &["--forwarded-allow-ips"],
        kind: Kind::Value("ADDRESSES"),
        default: "127.0.0.1,::1",
        bare: None,
        standing: Standing::Works,
        help: "Whose secure_scheme_headers, forwarder_headers and request_id are trusted: addresses and \
               networks such as 10.0.0.0/8, separated by commas, or * for everybody. Clients of a \
               Unix socket are always trusted: the permissions of its file say who can connect, \
               mode 0777 less umask, of user and group. The variable FORWARDED_ALLOW_IPS replaces \
               the default.",
        apply: |settings, text| {
            Peers::parse(text).map(|value| settings.proxy.forwarded_peers = value)
        },
        show: |settings| settings.proxy.forwarded_peers.to_string(),
    },
    Setting {
        name: "secure_scheme_headers",
        section: Section::Proxy,
        flags: &["--secure-scheme-headers"],
        kind: Kind::Value("NAME=VALUE,..."),
        default: "X-FORWARDED-PROTOCOL=ssl,X-FORWARDED-PROTO=https,X-FORWARDED-SSL=on",
        bare: None,
        standing: Standing::Works,
        help: "The header fields, each with its value, by which a trusted proxy says that the \
               client used https. A field with another value means http; two that contradict each \
               other get 400. A dictionary in a Python config file.",
        apply: |settings, text| {
            settings.proxy.secure_scheme_headers = parse::scheme_headers(text)?;
            Ok(())
        },
        show: |settings| {
            show::list(&settings.proxy.secure_scheme_headers, |(name, value)| {
                format!("{name}={value}")
            })
        },
    },
    Setting {
        name: "forwarder_headers",
        section: Section::Proxy,
        flags: &["--forwarder-headers"],
        kind: Kind::Value("NAMES"),
        default: "SCRIPT_NAME,PATH_INFO",
        bare: None,
        standing: Standing::Works,
        help: "The header fields that a trusted proxy may send although their name has an \
               underscore, separated by commas; * means any. SCRIPT_NAME says where the proxy has \
               mounted the application. header_map applies to all others.",
        apply: |settings, text| {
            settings.proxy.forwarder_headers = parse::field_names(text)?;
            Ok(())
        },
        show: |settings| settings.proxy.forwarder_headers.join(","),
    },
    Setting {
        name: "root_path",
        section: Section::Proxy,
        flags: &["--root-path"],
        kind: Kind::Value("PATH"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The path at which a proxy has mounted the application, such as /shop: its \
               SCRIPT_NAME.",
        apply: |settings, text| {
            parse::root_path(text).map(|value| settings.proxy.root_path = value)
        },
        show: |settings| settings.proxy.root_path.clone(),
    },
];
