//! Settings that accept one of a few words.

use super::parse::Parsed;

/// A word for each value; the first is the default of the type.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];

    /// Reads a word, in any case.
    fn parse(text: &str) -> Parsed<Self> {
        let known = |(word, _): &&(&str, Self)| word.eq_ignore_ascii_case(text);
        match Self::WORDS.iter().find(known) {
            Some(&(_, value)) => Ok(value),
            None => Err(Self::words()),
        }
    }

    /// The word that [`Self::parse`] reads.
    fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, value)| *value == self);
        found.map_or("", |(word, _)| word)
    }

    /// `a, b or c`, the first word of each value.
    fn words() -> String {
        let mut words = Vec::new();
        for (_, value) in Self::WORDS {
            if !words.contains(&value.word()) {
                words.push(value.word());
            }
        }
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }
}

/// The versions of the PROXY protocol whose header a connection may begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    #[default]
    Off,
    V1,
    V2,
    /// Either version, found by its first bytes.
    Auto,
}

impl Choice for ProxyProtocol {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("v1", Self::V1),
        ("v2", Self::V2),
        ("auto", Self::Auto),
        ("false", Self::Off),
        ("none", Self::Off),
        ("0", Self::Off),
        ("true", Self::Auto),
        ("1", Self::Auto),
    ];
}

/// The treatment of a field whose name has an underscore, which a WSGI environment cannot tell from a hyphen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderMap {
    #[default]
    Drop,
    Refuse,
    Dangerous,
}

impl Choice for HeaderMap {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("drop", Self::Drop),
        ("refuse", Self::Refuse),
        ("dangerous", Self::Dangerous),
    ];
}

/// How changes of code are noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReloadEngine {
    /// inotify, or polling if there is none.
    #[default]
    Auto,
    Poll,
    Inotify,
}

impl Choice for ReloadEngine {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("poll", Self::Poll),
        ("inotify", Self::Inotify),
    ];
}

/// Whether a client has to show a certificate in the TLS handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    #[default]
    None,
    Optional,
    Required,
}

impl Choice for ClientCertificate {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("0", Self::None),
        ("1", Self::Optional),
        ("2", Self::Required),
        ("CERT_NONE", Self::None),
        ("CERT_OPTIONAL", Self::Optional),
        ("CERT_REQUIRED", Self::Required),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_shown() {
        assert_eq!(ProxyProtocol::parse("TRUE"), Ok(ProxyProtocol::Auto));
        assert_eq!(
            ProxyProtocol::parse("v3"),
            Err("off, v1, v2 or auto".to_owned())
        );
        assert_eq!(ProxyProtocol::Auto.word(), "auto");
        assert_eq!(
            ClientCertificate::parse("cert_required").map(Choice::word),
            Ok("2")
        );
        assert_eq!(HeaderMap::words(), "drop, refuse or dangerous");
    }
}
