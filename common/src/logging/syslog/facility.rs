//! The facilities of syslog (RFC 5424 section 6.2.1).

use std::fmt;

/// The part of a system that a line claims to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyslogFacility(u8);

impl SyslogFacility {
    const NAMES: [(&'static str, u8); 21] = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("syslog", 5),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("authpriv", 10),
        ("ftp", 11),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
        ("security", 4),
    ];

    /// 0 to 23.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Reads a name, in any case. The error gives some of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |(name, _): &&(&str, u8)| name.eq_ignore_ascii_case(text);
        match Self::NAMES.iter().find(named) {
            Some(&(_, number)) => Ok(Self(number)),
            None => Err("user, daemon, local0 to local7 or another facility of syslog(3)".into()),
        }
    }
}

/// `user`.
impl Default for SyslogFacility {
    fn default() -> Self {
        Self(1)
    }
}

impl fmt::Display for SyslogFacility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, number)| *number == self.0);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_by_name() {
        let number = |text| SyslogFacility::parse(text).map(SyslogFacility::number);
        assert_eq!(number("LOCAL3"), Ok(19));
        let auth = SyslogFacility::parse("security").expect("another name");
        assert_eq!(auth.to_string(), "auth");
        assert!(number("loud").is_err());
    }
}
