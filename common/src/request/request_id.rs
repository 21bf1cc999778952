//! [`RequestId`]: the name by which a request is found in the logs of all servers that it passes.

use std::fmt;

/// The longest id, in octets. A peer's id that is longer is not taken.
const MOST: usize = 128;

/// Visible ASCII without quotation marks and other characters that mean something in logs and queries, so that it
/// needs no escape anywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; MOST],
    length: u8,
}

impl RequestId {
    /// The longest id, in octets.
    pub const MOST: usize = MOST;

    /// The id that another program has sent; `None` if it is empty, too long or has other characters than letters,
    /// digits and `-._~:/+=@`.
    pub fn given(text: &[u8]) -> Option<Self> {
        let is_legal = |it: &u8| it.is_ascii_alphanumeric() || b"-._~:/+=@".contains(it);
        if text.is_empty() || text.len() > MOST || !text.iter().all(is_legal) {
            return None;
        }
        let mut id = Self {
            text: [0; MOST],
            length: u8::try_from(text.len()).ok()?,
        };
        id.text[..text.len()].copy_from_slice(text);
        Some(id)
    }

    /// A number as 32 hexadecimal digits.
    pub fn of(number: u128) -> Self {
        let mut id = Self {
            text: [0; MOST],
            length: 32,
        };
        for (octet, pair) in number.to_be_bytes().iter().zip(id.text.chunks_exact_mut(2)) {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
            (pair[0], pair[1]) = (digit(octet >> 4), digit(*octet));
        }
        id
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_32_digits() {
        assert_eq!(RequestId::of(0x2a).as_str(), format!("{:032x}", 0x2a));
        assert_eq!(RequestId::of(u128::MAX).as_str(), "f".repeat(32));
    }

    #[test]
    fn what_is_well_formed_is_taken() {
        for text in [
            "a",
            "7b1f0c9e-2f5e-4c8a-9a51-2f0f4ad1a0c3",
            "a.b_c~d:e/f+g=@",
            &"x".repeat(128),
        ] {
            let id = RequestId::given(text.as_bytes()).expect(text);
            assert_eq!(id.as_str(), text);
        }
        for octet in (0..=255).filter(|it: &u8| !it.is_ascii_alphanumeric()) {
            let taken = RequestId::given(&[b'a', octet]).is_some();
            assert_eq!(taken, b"-._~:/+=@".contains(&octet), "{octet}");
        }
        assert!(RequestId::given(b"").is_none());
        assert!(RequestId::given(&[b'x'; 129]).is_none());
    }
}
