//! The chunked transfer coding (RFC 9112 section 7.1), decoded a run of bytes at a time.
//!
//! Lines end in CRLF and nothing else; sizes are hexadecimal digits and nothing else. Extensions
//! and trailer fields are checked by their grammar, bounded and dropped.

use memchr::memchr;

use super::RequestError;
use super::token::{is_forbidden_in_value, is_token_byte};

/// The most octets of all chunk extensions of one body, and of its trailer section.
const EXTRAS: usize = 16 * 1024;
/// Fields that frame or route the message. In a trailer section they come too late for that (RFC 9110 section
/// 6.5.1), and a server that used them would disagree with all others.
const NOT_IN_TRAILERS: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
/// The longest name of those.
const LONGEST: usize = 17;

/// A decoder for one body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: ChunkState,
    /// Octets left of the chunk, or its size so far while the size line is read.
    remaining: u64,
    extras: usize,
    /// The start of the name of the current trailer field: as much as `NOT_IN_TRAILERS` needs.
    name: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ChunkState {
    #[default]
    SizeStart,
    Size,
    /// White space after the size, or after an extension: only an extension may follow.
    SizeSpace,
    /// After the semicolon.
    ExtensionStart,
    ExtensionName,
    /// White space after the name: a value or another extension may follow.
    ExtensionNameSpace,
    /// After the equals sign.
    ExtensionEquals,
    ExtensionToken,
    ExtensionQuoted,
    /// After a backslash.
    ExtensionQuotedPair,
    ExtensionQuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    /// Whether the whole body has been read, including its trailer section.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == ChunkState::End
    }

    /// Reads as much of `input` as it can, passes data to `sink`, and returns the number of bytes that it used.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), RequestError>,
    ) -> Result<usize, RequestError> {
        let mut at = 0;
        while at < input.len() && self.state != ChunkState::End {
            match self.state {
                ChunkState::Data => {
                    let left = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                    let run = left.min(input.len() - at);
                    sink(&input[at..at + run])?;
                    at += run;
                    self.remaining -= run as u64;
                    if self.remaining == 0 {
                        self.state = ChunkState::DataCr;
                    }
                }
                ChunkState::TrailerValue => {
                    let rest = &input[at..];
                    let run = memchr(b'\r', rest).unwrap_or(rest.len());
                    if rest[..run].iter().copied().any(is_forbidden_in_value) {
                        return Err(RequestError::Chunk);
                    }
                    self.count_extra(run)?;
                    at += run;
                    if run < rest.len() {
                        at += 1;
                        self.state = ChunkState::TrailerLf;
                    }
                }
                _ => {
                    self.step(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<(), RequestError> {
        self.state = match (self.state, byte) {
            (ChunkState::SizeStart | ChunkState::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                self.remaining = self
                    .remaining
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit))
                    .ok_or(RequestError::Chunk)?;
                self.count_extra(1)?;
                ChunkState::Size
            }
            (ChunkState::Size, b'\r') => ChunkState::SizeLf,
            (ChunkState::Size | ChunkState::SizeSpace, b' ' | b'\t') => {
                self.count_extra(1)?;
                ChunkState::SizeSpace
            }
            (ChunkState::Size | ChunkState::SizeSpace, b';') => {
                self.count_extra(1)?;
                ChunkState::ExtensionStart
            }
            (ChunkState::SizeLf, b'\n') if self.remaining == 0 => ChunkState::TrailerStart,
            (ChunkState::SizeLf, b'\n') => {
                // A valid size line has few digits: only extensions add up.
                self.extras = self.extras.saturating_sub(16);
                ChunkState::Data
            }
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::SizeStart,
            (ChunkState::TrailerStart, b'\r') => ChunkState::EndLf,
            (ChunkState::TrailerStart | ChunkState::TrailerName, _) if is_token_byte(byte) => {
                self.count_extra(1)?;
                if self.name.len() <= LONGEST {
                    self.name.push(byte.to_ascii_lowercase());
                }
                ChunkState::TrailerName
            }
            (ChunkState::TrailerName, b':') => {
                if NOT_IN_TRAILERS.contains(&self.name.as_slice()) {
                    return Err(RequestError::Trailer);
                }
                self.name.clear();
                ChunkState::TrailerValue
            }
            (ChunkState::TrailerLf, b'\n') => ChunkState::TrailerStart,
            (ChunkState::EndLf, b'\n') => ChunkState::End,
            (state, _) => self.step_in_extension(state, byte)?,
        };
        Ok(())
    }

    /// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 section 7.1.1).
    fn step_in_extension(
        &mut self,
        state: ChunkState,
        byte: u8,
    ) -> Result<ChunkState, RequestError> {
        use ChunkState::*;
        self.count_extra(1)?;
        Ok(match (state, byte) {
            (ExtensionQuoted, b'"') => ExtensionQuotedEnd,
            (ExtensionQuoted, b'\\') => ExtensionQuotedPair,
            (ExtensionQuoted | ExtensionQuotedPair, _) if !is_forbidden_in_value(byte) => {
                ExtensionQuoted
            }
            (ExtensionStart | ExtensionEquals, b' ' | b'\t') => state,
            (ExtensionName | ExtensionNameSpace, b' ' | b'\t') => ExtensionNameSpace,
            (ExtensionToken | ExtensionQuotedEnd, b' ' | b'\t') => SizeSpace,
            (ExtensionStart | ExtensionName, _) if is_token_byte(byte) => ExtensionName,
            (ExtensionEquals | ExtensionToken, _) if is_token_byte(byte) => ExtensionToken,
            (ExtensionEquals, b'"') => ExtensionQuoted,
            (ExtensionName | ExtensionNameSpace, b'=') => ExtensionEquals,
            (ExtensionName | ExtensionNameSpace | ExtensionToken | ExtensionQuotedEnd, b';') => {
                ExtensionStart
            }
            (ExtensionName | ExtensionToken | ExtensionQuotedEnd, b'\r') => SizeLf,
            _ => return Err(RequestError::Chunk),
        })
    }

    fn count_extra(&mut self, octets: usize) -> Result<(), RequestError> {
        self.extras += octets;
        if self.extras > EXTRAS {
            Err(RequestError::Chunk)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `size`; the data, or `None` if it is rejected or incomplete.
    fn decode(input: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut decoder = Chunked::default();
        let mut data = Vec::new();
        for piece in input.chunks(size) {
            let mut taken = 0;
            while taken < piece.len() && !decoder.is_complete() {
                taken += decoder
                    .decode(&piece[taken..], |run| {
                        data.extend_from_slice(run);
                        Ok(())
                    })
                    .ok()?;
            }
        }
        decoder.is_complete().then_some(data)
    }

    fn both_ways(input: &[u8]) -> Option<Vec<u8>> {
        let whole = decode(input, input.len());
        assert_eq!(
            whole,
            decode(input, 1),
            "{:?} by the byte",
            input.escape_ascii().to_string()
        );
        whole
    }

    #[test]
    fn chunks_become_a_body() {
        assert_eq!(both_ways(b"0\r\n\r\n"), Some(vec![]));
        assert_eq!(
            both_ways(b"5\r\nhello\r\n0\r\n\r\n"),
            Some(b"hello".to_vec())
        );
        assert_eq!(
            both_ways(b"0a\r\n0123456789\r\n000\r\n\r\n"),
            Some(b"0123456789".to_vec())
        );
        assert_eq!(
            both_ways(b"1;a=b\r\nx\r\n1 ;c=\"d\"\r\ny\r\n0;z\r\n\r\n"),
            Some(b"xy".to_vec())
        );
        assert_eq!(
            both_ways(b"1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n"),
            Some(b"x".to_vec())
        );
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        let bad: &[&[u8]] = &[
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b" 1\r\n",
            b"1 \r\nx\r\n0\r\n\r\n",
            b"1\nx\r\n0\r\n\r\n",
            b"1\r\nx\n0\r\n\r\n",
            b"1\r\nxy\r\n0\r\n\r\n",
            b"1\r\nx0\r\n\r\n",
            b"1;a\n\r\nx\r\n0\r\n\r\n",
            b"1;\x00\r\nx\r\n0\r\n\r\n",
            b"0\r\nContent-Length: 0\r\n\r\n",
            b"0\r\na: b\r\ntransfer-encoding:\r\n\r\n",
            b"0\r\nHOST: a\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n folded: b\r\n\r\n",
            b"0\r\n\n",
            b"10000000000000000\r\n",
        ];
        for input in bad {
            assert_eq!(both_ways(input), None, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn extensions_have_a_grammar() {
        let chunk = |extension: &str| {
            let input = format!("1{extension}\r\nx\r\n0{extension}\r\n\r\n");
            both_ways(input.as_bytes()).is_some()
        };
        for good in [
            "",
            ";a",
            ";a;b",
            ";a=b",
            ";a=\"\"",
            ";a=\"b;\\\"=\t\u{e4}\\\\\"",
            " ; a = b ; c\t;\td=\"e\" ;f",
            ";!#$%&'*+-.^_`|~=1",
        ] {
            assert!(chunk(good), "{good:?}");
        }
        for bad in [
            ";",
            ";;a",
            ";a;",
            ";=",
            ";=b",
            ";a=",
            ";a=;b",
            ";a==b",
            ";a=b=c",
            ";a b",
            ";a=b c",
            ";\"a\"",
            ";\"a\"=b",
            ";a[=b",
            ";a=b[",
            ";a=\"b",
            ";a=\"b\"c",
            ";a=\"b\"\"",
            ";a=\"\\",
            ";a=\"\\\u{1}\"",
            ";a=\"\u{1}\"",
            ";a=\"\u{7f}\"",
            " ",
            ";a ",
            ";a= ",
            ";a=b ",
            ";a=\"b\" ",
            ";\u{e4}",
            ";a,b",
            "=a",
            ",a",
            ";a=b;",
            ";a:b",
            ";(a)",
        ] {
            assert!(!chunk(bad), "{bad:?}");
        }
    }

    #[test]
    fn trailer_fields_that_only_resemble_others_are_dropped() {
        for name in [
            "Content-Length-",
            "X-Host",
            "Hos",
            "Hostt",
            "Transfer-Encoding-And-More",
            "Content-Type",
            "Authorization",
        ] {
            let input = format!("0\r\n{name}: 5\r\n\r\n");
            assert_eq!(both_ways(input.as_bytes()), Some(vec![]), "{name}");
        }
    }

    #[test]
    fn many_chunks_pass_and_endless_extensions_do_not() {
        let chunks = [b"1\r\nx\r\n".repeat(50_000), b"0\r\n\r\n".to_vec()].concat();
        assert_eq!(decode(&chunks, 4096).map(|data| data.len()), Some(50_000));
        let extensions = [
            b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(5_000),
            b"0\r\n\r\n".to_vec(),
        ];
        assert_eq!(decode(&extensions.concat(), 4096), None);
        assert_eq!(decode(&b"0".repeat(100_000), 4096), None);
    }
}
