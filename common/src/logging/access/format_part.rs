//! The parts of an access format: text, and directives such as `%(a)-9.20s`, which are Python's.

use std::fmt::{self, Write};

use super::atom::Atom;
use crate::logging::escape::cut;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FormatPart {
    Text(String),
    Directive(Directive),
}

/// An atom, and how the format wants it written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) atom: Atom,
    /// As the format spells it.
    pub(super) name: String,
    pub(super) padding: Padding,
    /// One of `sdiu`.
    pub(super) conversion: char,
}

/// The text between `)` and the conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Padding {
    pub(super) left: bool,
    /// With zeros instead of spaces.
    pub(super) zeros: bool,
    /// In characters.
    pub(super) width: usize,
    pub(super) most: Option<usize>,
}

impl Directive {
    /// Reads `(NAME)`, padding and conversion. Also returns the text after it.
    pub(super) fn read(text: &str) -> Option<(Self, &str)> {
        let text = text.strip_prefix('(')?;
        let mut depth = 1;
        let end = text.bytes().position(|byte| {
            depth += i32::from(byte == b'(') - i32::from(byte == b')');
            depth == 0
        })?;
        let (name, spec) = (&text[..end], &text[end + 1..]);
        let (flags, spec) = split_while(spec, |c| "-+ #0".contains(c));
        let (width, spec) = split_while(spec, |c| c.is_ascii_digit());
        let (most, spec) = match spec.strip_prefix('.') {
            Some(spec) => {
                let (most, spec) = split_while(spec, |c| c.is_ascii_digit());
                (Some(small(most)?), spec)
            }
            None => (None, spec),
        };
        let conversion = spec.chars().next().filter(|c| "sdiu".contains(*c))?;
        let left = flags.contains('-');
        let padding = Padding {
            left,
            zeros: flags.contains('0') && !left && conversion != 's',
            width: small(width)?,
            most: most.filter(|_| conversion == 's'),
        };
        let directive = Self {
            atom: Atom::named(name),
            name: name.to_owned(),
            padding,
            conversion,
        };
        Some((directive, &spec[1..]))
    }

    /// The key under which Python finds its value.
    pub(super) fn key(&self) -> String {
        match self.padding.most {
            Some(most) => format!("{}.{most}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for Directive {
    /// As in the format, but without a precision: the value is cut already.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Padding {
            left, zeros, width, ..
        } = self.padding;
        write!(f, "%({})", self.key())?;
        for (flag, is_set) in [('-', left), ('0', zeros)] {
            if is_set {
                f.write_char(flag)?;
            }
        }
        if width > 0 {
            write!(f, "{width}")?;
        }
        f.write_char(self.conversion)
    }
}

impl Padding {
    /// Cuts or pads the text from `start` to the width, in characters. An escape sequence counts as the one
    /// character that it replaces.
    pub(super) fn apply(self, out: &mut Vec<u8>, start: usize) {
        if self == Self::default() {
            return;
        }
        if let Some(most) = self.most {
            let length = cut(&out[start..], most);
            out.truncate(start + length);
        }
        let is_start = |byte: &&u8| **byte & 0xc0 != 0x80;
        let length = out[start..].iter().filter(is_start).count();
        let missing = self.width.saturating_sub(length);
        let fill = if self.zeros { b'0' } else { b' ' };
        out.resize(out.len() + missing, fill);
        if !self.left {
            out[start..].rotate_right(missing);
        }
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A number of characters; a typing error in it must not fill the disk.
fn small(digits: &str) -> Option<usize> {
    match digits {
        "" => Some(0),
        _ => digits.parse().ok().filter(|&number| number <= 4096),
    }
}
