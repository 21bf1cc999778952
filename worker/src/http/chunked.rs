//! The chunked transfer coding (RFC 9112 section 7.1), decoded a run of bytes at a time.
//!
//! Lines end in CRLF and nothing else; sizes are hexadecimal digits and nothing else. Extensions
//! and trailer fields are checked, bounded and dropped.

use memchr::memchr;

use super::RequestError;
use super::token::{is_forbidden_in_value, is_token_byte};

/// Octets that all chunk extensions of one body, and its trailer section, may have.
const EXTRAS: usize = 16 * 1024;

/// A decoder for one body.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// Octets left of the chunk, or its size so far while the size line is read.
    remaining: u64,
    extras: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    SizeStart,
    Size,
    /// White space after the size: only an extension may follow.
    SizeSpace,
    Extension,
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
    /// Whether the body, its trailer section included, has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Takes what it can of `input`, hands data to `sink`, and returns how much it took.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), RequestError>,
    ) -> Result<usize, RequestError> {
        let mut at = 0;
        while at < input.len() && self.state != State::End {
            match self.state {
                State::Data => {
                    let left = usize::try_from(self.remaining).unwrap_or(usize::MAX);
                    let run = left.min(input.len() - at);
                    sink(&input[at..at + run])?;
                    at += run;
                    self.remaining -= run as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                }
                State::Extension | State::TrailerValue => {
                    let rest = &input[at..];
                    let run = memchr(b'\r', rest).unwrap_or(rest.len());
                    self.check_extra(&rest[..run])?;
                    at += run;
                    if run < rest.len() {
                        at += 1;
                        self.state = match self.state {
                            State::Extension => State::SizeLf,
                            _ => State::TrailerLf,
                        };
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
            (State::SizeStart | State::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                self.remaining = self
                    .remaining
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(digit))
                    .ok_or(RequestError::Chunk)?;
                self.count_extra(1)?;
                State::Size
            }
            (State::Size, b'\r') => State::SizeLf,
            (State::Size | State::SizeSpace, b';') => State::Extension,
            (State::Size | State::SizeSpace, b' ' | b'\t') => {
                self.count_extra(1)?;
                State::SizeSpace
            }
            (State::SizeLf, b'\n') if self.remaining == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => {
                // The digits of an honest size line are few: only extensions add up.
                self.extras = self.extras.saturating_sub(16);
                State::Data
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.count_extra(1)?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            _ => return Err(RequestError::Chunk),
        };
        Ok(())
    }

    fn check_extra(&mut self, run: &[u8]) -> Result<(), RequestError> {
        if run.iter().copied().any(is_forbidden_in_value) {
            return Err(RequestError::Chunk);
        }
        self.count_extra(run.len())
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

    /// Decodes `input` in pieces of `size`; the data, or `None` where it is refused or incomplete.
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
