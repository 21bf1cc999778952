//! The secret of the admin process: where it comes from, and the comparison with what a client sends.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use oxicorn_common::settings::{AdminSettings, admin_token};
use subtle::ConstantTimeEq;

/// In octets. What is longer is no secret.
const LONGEST_FILE: u64 = 4096;

/// The secret that a client has to know.
#[derive(Clone)]
pub struct AdminToken(String);

/// Why there is no secret although a file should have it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("admin_token_file: cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The contents are not shown.
    #[error("admin_token_file: {} has no secret: expected {expected}", path.display())]
    Unusable { path: PathBuf, expected: String },
}

impl AdminToken {
    /// The secret of the settings; `None` if they ask for none. Reads the file, which children may not be allowed to.
    pub fn read(settings: &AdminSettings) -> Result<Option<Self>, TokenError> {
        if let Some(token) = &settings.token {
            return Ok(Some(Self(token.clone())));
        }
        let Some(path) = &settings.token_file else {
            return Ok(None);
        };
        let path = path.clone();
        let text = match read_regular_file(&path) {
            Ok(text) => text,
            Err(source) => return Err(TokenError::Read { path, source }),
        };
        match admin_token(text.trim()) {
            Ok(token) => Ok(Some(Self(token))),
            Err(expected) => Err(TokenError::Unusable { path, expected }),
        }
    }

    /// Whether the value of an `Authorization` field has it. How long that takes tells nothing of its characters.
    pub(crate) fn is_in(&self, authorization: &[u8]) -> bool {
        let (scheme, token) = authorization
            .iter()
            .position(|&byte| byte == b' ')
            .map_or((authorization, &[][..]), |at| authorization.split_at(at));
        // RFC 9110 section 11.1: the name of a scheme has no case.
        scheme.eq_ignore_ascii_case(b"bearer")
            && bool::from(token.trim_ascii().ct_eq(self.0.as_bytes()))
    }
}

/// The beginning of a file. The master reads it, and must not wait for a pipe or read a device without end.
fn read_regular_file(path: &Path) -> io::Result<String> {
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        let text = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_counts() {
        let token = AdminToken("0123456789abcdef".to_owned());
        for right in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef "] {
            assert!(token.is_in(right.as_bytes()), "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789abcdeF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!token.is_in(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_file_may_have_it_with_a_line_feed() {
        let path = std::env::temp_dir().join(format!("oxicorn-token-{}", std::process::id()));
        let settings = AdminSettings {
            token_file: Some(path.clone()),
            ..AdminSettings::default()
        };
        assert!(AdminToken::read(&settings).is_err(), "there is no file");
        std::fs::write(&path, "0123456789abcdef\n").expect("written");
        let token = AdminToken::read(&settings).expect("a secret").expect("one");
        assert!(token.is_in(b"Bearer 0123456789abcdef"));
        std::fs::write(&path, "hunter2\n").expect("written");
        let error = AdminToken::read(&settings)
            .expect_err("too short")
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).expect("a pipe");
        for endless in ["/dev/zero".into(), path.clone()] {
            let settings = AdminSettings {
                token_file: Some(endless),
                ..AdminSettings::default()
            };
            assert!(AdminToken::read(&settings).is_err(), "{settings:?}");
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
