//! A fuzz test: requests built at random from valid parts, then slightly damaged. However they are split, the result
//! must be the same, and a request that is accepted must be sound.
//!
//! `OXICORN_FUZZ_ROUNDS` is the number of requests, and `OXICORN_FUZZ_SEED` the first seed.

use std::io::Read;

use oxicorn_common::request::Version;

use super::token::is_token;
use super::{Decoded, Limits, PeerTrust, RequestDecoder, Rules};
use crate::read_buffer::ReadBuffer;

const ROUNDS: u64 = 10_000;

const METHODS: &[&str] = &[
    "GET",
    "POST",
    "OPTIONS",
    "HEAD",
    "CONNECT",
    "get",
    "A",
    "ABCDEFGHIJKLMNOPQRSTUV",
    "G\tT",
    "",
];
const TARGETS: &[&str] = &[
    "/",
    "/a?b=c",
    "*",
    "http://b/x",
    "https://b:8/",
    "http://[::1]:80",
    "http://@b/",
    "http://",
    "a:80",
    "/%41",
    "/%4",
    "/a#b",
    "/\"",
    "//",
    "http://b:c/",
    "/a b",
    "",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.1 ",
    "HTTP/2.0",
    "HTTP/1.2",
    "http/1.1",
    "",
];
const HOSTS: &[&str] = &[
    "a", "a:80", "", "a b", "[::1]", "[::1", "a:1:2", "a:x", "a,b", "%zz", "a:",
];
const FIELDS: &[&str] = &[
    "Connection: close",
    "Connection: keep-alive, x",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked;a",
    "Transfer-Encoding:\tChunked ",
    "Transfer_Encoding: chunked",
    "Expect: 100-continue",
    "Expect: x",
    "X: y",
    "X:",
    "X : y",
    " X: y",
    ": y",
    "X",
    "Content-Type: a/b",
    "X-Forwarded-Proto: https",
    "X: \u{e9}",
    "X: a\rb",
];
const CHUNKS: &[&str] = &[
    "5\r\nhello\r\n",
    "1;a=\"b\\\"\"\r\nx\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nHost: b\r\n\r\n",
    "5 \r\nhello\r\n",
    "1;\r\nx\r\n",
    "a\r\n0123456789\r\n",
    "fffffffffffffffff\r\n",
    "1\r\nxy\r\n",
];
/// Bytes that damage a request.
const SPOILS: &[u8] = b"\0\t\n\r \"%,/:;=?[]@\\{\x7f\x80\xffaA0-_*#";

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap_or(0)
    }

    /// One of them; mostly the first, so that most of a request stays valid.
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        match self.below(6) {
            0 => from[self.below(from.len())],
            _ => from[0],
        }
    }
}

/// One request, or several.
fn input(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..=random.below(2) {
        let (method, target) = (random.pick(METHODS), random.pick(TARGETS));
        text += &format!("{method} {target} {}\r\n", random.pick(VERSIONS));
        for _ in 0..=random.below(12) / 10 {
            text += &format!("Host: {}\r\n", random.pick(HOSTS));
        }
        for _ in 0..random.below(3) {
            text += FIELDS[random.below(FIELDS.len())];
            text += "\r\n";
        }
        let body = random.below(4);
        match body {
            0 => text += "Content-Length: 5\r\n\r\nhello",
            1 => {
                text += "Transfer-Encoding: chunked\r\n\r\n";
                for _ in 0..random.below(3) {
                    text += random.pick(CHUNKS);
                }
                text += "0\r\n\r\n";
            }
            _ => text += "\r\n",
        }
    }
    // Latin-1, so that some bytes are not UTF-8.
    let mut bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect();
    for _ in 0..random.below(3) {
        let at = random.below(bytes.len());
        let spoil = SPOILS[random.below(SPOILS.len())];
        match random.below(4) {
            0 => bytes.insert(at, spoil),
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ => bytes[at] = spoil,
        }
        if bytes.is_empty() {
            bytes.push(spoil);
        }
    }
    bytes
}

/// The result of an input.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Request {
        line: String,
        fields: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
        keeps_alive: bool,
    },
    Refused(u16),
}

/// Feeds `input` in pieces; `size` returns the size of the next.
fn feed(
    input: &[u8],
    rules: &Rules,
    trust: PeerTrust,
    mut size: impl FnMut() -> usize,
) -> Vec<Told> {
    let (mut buffer, mut decoder) = (ReadBuffer::default(), RequestDecoder::default());
    let mut told = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size().clamp(1, rest.len()));
        rest = after;
        buffer.refill(piece);
        loop {
            match decoder.advance(&mut buffer, rules, trust) {
                Ok(Decoded::Request) => {}
                Ok(_) => break,
                Err(error) => {
                    decoder.refuse(&buffer);
                    told.push(Told::Refused(error.status().as_u16()));
                    return told;
                }
            }
            let head = &decoder.head;
            check(head, rules, trust);
            let mut body = Vec::new();
            decoder
                .body
                .read_to_end(&mut body)
                .expect("a readable body");
            let field = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_vec());
            told.push(Told::Request {
                line: format!("{} {} {}", head.method(), head.target(), head.version),
                fields: head.fields().map(field).collect(),
                body,
                keeps_alive: decoder.framing.keep_alive,
            });
        }
    }
    told
}

/// An accepted request is sound, and can be read again: a sibling may have to.
fn check(head: &oxicorn_common::request::RequestHead, rules: &Rules, trust: PeerTrust) {
    assert!(is_token(head.method()));
    assert!(head.target().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(head.path().starts_with('/') || head.path() == "*");
    let hosts: Vec<_> = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .collect();
    assert!(hosts.len() == 1 || (hosts.is_empty() && head.version == Version::Http10));
    for (name, value) in head.fields() {
        assert!(is_token(name));
        assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)));
    }
    let (mut scan, mut again) = (super::head::Scan::default(), Default::default());
    let end = scan.find_end(&head.bytes, rules).expect("a head");
    assert_eq!(end, Some(head.bytes.len()));
    scan.parse(&head.bytes, head.bytes.len(), rules, &mut again)
        .expect("a head");
    rules.fields.apply(&mut again, trust).expect("a head");
    super::authority::settle(&mut again, trust).expect("a head");
    assert!(again.fields().eq(head.fields()));
}

#[test]
fn the_same_comes_of_a_request_however_it_is_cut() {
    let number = |name: &str, default: u64| {
        let said = std::env::var(name).ok();
        said.map_or(default, |text| text.parse().expect("a number"))
    };
    let (rounds, seed) = (
        number("OXICORN_FUZZ_ROUNDS", ROUNDS),
        number("OXICORN_FUZZ_SEED", 1),
    );
    let limits = Limits {
        request_line: 60,
        fields: 5,
        field_size: 50,
        body: 12,
        ..Limits::default()
    };
    let strict = Rules {
        limits,
        ..Rules::default()
    };
    let mut lenient = strict.clone();
    lenient.leniency = super::lenient::HeadLeniency {
        folding: true,
        field_spaces: true,
        any_method: true,
        casefold: true,
        any_version: true,
    };
    let (mut taken, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0001).wrapping_add(round));
        let input = input(&mut random);
        let rules = if random.below(4) == 0 {
            &lenient
        } else {
            &strict
        };
        let trust = PeerTrust {
            trusted: random.below(2) == 0,
            secure: random.below(4) == 0,
        };
        let whole = feed(&input, rules, trust, || usize::MAX);
        let by_byte = feed(&input, rules, trust, || 1);
        assert_eq!(whole, by_byte, "round {round}: {}", input.escape_ascii());
        let cut = feed(&input, rules, trust, || 1 + random.below(9));
        assert_eq!(whole, cut, "round {round}: {}", input.escape_ascii());
        for it in &whole {
            match it {
                Told::Request { .. } => taken += 1,
                Told::Refused(_) => refused += 1,
            }
        }
    }
    // Otherwise the test would prove nothing.
    assert!(
        taken > rounds / 10 && refused > rounds / 10,
        "{taken} {refused}"
    );
}
