//! The setting `ciphers`: a list in OpenSSL's language (openssl-ciphers(1)), for the suites of rustls. All of those
//! have forward secrecy and authenticated encryption; other names that OpenSSL knows select nothing.

use log::warn;
use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as suites;

use super::TlsError;

type Suite = (&'static str, SupportedCipherSuite);

/// By OpenSSL's names, in its order of preference.
static TLS12: [Suite; 6] = [
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
];

static TLS13: [Suite; 3] = [
    ("TLS_AES_256_GCM_SHA384", suites::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        suites::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_AES_128_GCM_SHA256", suites::TLS13_AES_128_GCM_SHA256),
];

/// Keywords that select all suites of rustls.
const EVERY: &[&str] = &[
    "ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2",
];

/// Keywords that select none of them.
const NONE: &[&str] = &[
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "MEDIUM",
    "LOW",
    "EXP",
    "EXPORT",
    "aNULL",
    "eNULL",
    "NULL",
    "RSA",
    "kRSA",
    "DH",
    "DHE",
    "EDH",
    "kDHE",
    "kEDH",
    "kDHr",
    "kDHd",
    "kDH",
    "ADH",
    "AECDH",
    "ECDH",
    "kECDH",
    "kECDHr",
    "kECDHe",
    "aDH",
    "aECDH",
    "DSS",
    "aDSS",
    "PSK",
    "kPSK",
    "aPSK",
    "kECDHEPSK",
    "kDHEPSK",
    "kRSAPSK",
    "SRP",
    "kSRP",
    "aSRP",
    "GOST",
    "aGOST",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "3DES",
    "DES",
    "RC4",
    "RC2",
    "IDEA",
    "SEED",
    "MD5",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "CBC",
];

/// The parts of the names of OpenSSL's other suites.
const PARTS: &[&str] = &[
    "ECDHE",
    "ECDH",
    "DHE",
    "DH",
    "EDH",
    "ADH",
    "AECDH",
    "RSA",
    "ECDSA",
    "DSS",
    "PSK",
    "SRP",
    "EXP",
    "AES",
    "AES128",
    "AES256",
    "ARIA128",
    "ARIA256",
    "ARIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CHACHA20",
    "POLY1305",
    "GCM",
    "CCM",
    "CCM8",
    "CBC",
    "CBC3",
    "DES",
    "3DES",
    "EDE",
    "RC4",
    "RC2",
    "IDEA",
    "SEED",
    "NULL",
    "128",
    "256",
    "SHA",
    "SHA256",
    "SHA384",
    "MD5",
];

/// The suites that `list` selects, those of TLS 1.3 first. All of these stay unless the list names some.
pub(super) fn select(list: &str) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut selection = Selection::default();
    for item in list.split([':', ',', ' ', ';']).filter(|it| !it.is_empty()) {
        selection.obey(item)?;
    }
    if !selection.absent.is_empty() {
        warn!(
            "ciphers: this server does not have {}; it has {}",
            selection.absent.join(", "),
            names().join(", ")
        );
    }
    if selection.newer.is_empty() && selection.chosen.is_empty() {
        return Err(TlsError::NoCipher(list.to_owned(), names().join(", ")));
    }
    if selection.newer.is_empty() {
        selection.newer.extend(&TLS13);
    }
    let all = selection.newer.iter().chain(&selection.chosen);
    Ok(all.map(|(_, suite)| *suite).collect())
}

fn names() -> Vec<&'static str> {
    TLS13.iter().chain(&TLS12).map(|(name, _)| *name).collect()
}

#[derive(Default)]
struct Selection {
    newer: Vec<&'static Suite>,
    chosen: Vec<&'static Suite>,
    /// Suites that must not be selected again.
    barred: Vec<&'static str>,
    /// Suites that OpenSSL has and rustls does not.
    absent: Vec<String>,
}

impl Selection {
    fn obey(&mut self, item: &str) -> Result<(), TlsError> {
        if let Some(command) = item.strip_prefix('@') {
            match command {
                "STRENGTH" => self.chosen.sort_by_key(|(name, _)| name.contains("AES128")),
                // Rustls rejects weaker keys than the second level admits anyway.
                _ if command.starts_with("SECLEVEL=") => {}
                _ => return Err(TlsError::UnknownCipher(item.to_owned())),
            }
            return Ok(());
        }
        if let Some(suite) = TLS13.iter().find(|(name, _)| *name == item) {
            self.newer.push(suite);
            return Ok(());
        }
        let (operator, terms) = match item.split_at_checked(1) {
            Some((operator @ ("!" | "-" | "+"), terms)) => (operator, terms),
            _ => ("", item),
        };
        let mut matching: Vec<&'static Suite> = TLS12.iter().collect();
        for term in terms.split('+') {
            if !is_known(term) {
                return Err(TlsError::UnknownCipher(term.to_owned()));
            }
            matching.retain(|(name, _)| selects(term, name));
        }
        if matching.is_empty() && operator.is_empty() && terms.contains('-') {
            self.absent.push(terms.to_owned());
        }
        let is_matching = |it: &&Suite| matching.iter().any(|(name, _)| *name == it.0);
        match operator {
            "" => {
                matching.retain(|(name, _)| !self.barred.contains(name));
                matching.retain(|(name, _)| self.chosen.iter().all(|(it, _)| it != name));
                self.chosen.extend(matching);
            }
            "+" => self.chosen.sort_by_key(|it| is_matching(it)),
            operator => {
                self.chosen.retain(|it| !is_matching(it));
                if operator == "!" {
                    self.barred.extend(matching.iter().map(|(name, _)| *name));
                }
            }
        }
        Ok(())
    }
}

fn is_known(term: &str) -> bool {
    let has_known_parts = || term.contains('-') && term.split('-').all(|it| PARTS.contains(&it));
    TLS12.iter().any(|(name, _)| selects(term, name)) || NONE.contains(&term) || has_known_parts()
}

fn selects(term: &str, name: &str) -> bool {
    match term {
        "aRSA" => name.contains("-RSA-"),
        "aECDSA" | "ECDSA" => name.contains("-ECDSA-"),
        "AES" | "AES128" | "AES256" | "CHACHA20" => name.contains(term),
        "AESGCM" => name.contains("-GCM-"),
        _ => term == name || EVERY.contains(&term),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The selected suites of TLS 1.2.
    fn selected(list: &str) -> Vec<&'static str> {
        let suites = select(list).expect(list);
        let name_of = |suite: &SupportedCipherSuite| {
            let found = TLS12.iter().find(|(_, it)| it == suite);
            found.map(|(name, _)| *name)
        };
        suites.iter().filter_map(name_of).collect()
    }

    #[test]
    fn names_and_keywords_select_in_their_order() {
        assert_eq!(
            selected("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"]
        );
        assert_eq!(selected("HIGH:!aNULL:!MD5:@STRENGTH").len(), 6);
        assert_eq!(
            selected("EECDH+AESGCM:!aECDSA:!AES256"),
            ["ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(
            selected("ECDHE+CHACHA20 AES128 -ECDSA"),
            ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(selected("!AES:DEFAULT:AES").len(), 2);
        assert_eq!(
            selected("aRSA+AES:+AES256").last(),
            Some(&"ECDHE-RSA-AES256-GCM-SHA384")
        );
    }

    #[test]
    fn what_openssl_has_beyond_is_left_out() {
        let list =
            "ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:AES128-SHA:DES-CBC3-SHA";
        assert_eq!(selected(list), ["ECDHE-ECDSA-AES128-GCM-SHA256"]);
        let none = select("AES128-SHA:RC4-SHA").expect_err("nothing is left");
        assert!(
            none.to_string().contains("ECDHE-RSA-AES128-GCM-SHA256"),
            "{none}"
        );
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        for (list, name) in [
            (
                "HIGH:ECDHE-RSA-AES128-GCM-SHA265",
                "ECDHE-RSA-AES128-GCM-SHA265",
            ),
            ("HIGH:!aNUL", "aNUL"),
            ("EECDH+AESGCN", "AESGCN"),
            ("@WEAKNESS", "@WEAKNESS"),
            ("TLS_AES_512_GCM_SHA384", "TLS_AES_512_GCM_SHA384"),
        ] {
            let error = select(list).expect_err(list).to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
        assert!(select(" ").is_err());
    }

    #[test]
    fn suites_of_tls_1_3_stay_unless_some_are_named() {
        assert_eq!(select("aRSA").expect("suites").len(), 3 + 3);
        assert_eq!(
            select("TLS_AES_128_GCM_SHA256:aRSA").expect("suites").len(),
            1 + 3
        );
        assert_eq!(select("TLS_AES_128_GCM_SHA256").expect("suites").len(), 1);
    }
}
