//! The request corpus, `tests/corpus/`: every case whole, by line, by byte, and cut at random.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, io, thread};

use crate::harness::{Client, Server};

mod case;

use case::{Case, Ending};

/// How the bytes of a case are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Lines,
    Bytes,
    /// Seeded by the name of the case.
    Random(u64),
}

const CUTS: [Cut; 5] = [
    Cut::Whole,
    Cut::Lines,
    Cut::Bytes,
    Cut::Random(1),
    Cut::Random(2),
];
/// Longer cases are about size, and are cut into larger pieces than bytes.
const SHORT: usize = 2000;

#[test]
fn every_case_is_answered_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let mut paths = Vec::new();
    find(&root, &mut paths);
    assert!(paths.len() >= 150, "only {} cases", paths.len());
    let mut groups: BTreeMap<Vec<String>, Vec<Case>> = BTreeMap::new();
    for case in paths.iter().map(|path| Case::read(path)) {
        groups.entry(case.settings.clone()).or_default().push(case);
    }
    let outcomes = groups.iter().map(|(flags, cases)| run_all(flags, cases));
    let failures: Vec<String> = outcomes.flatten().collect();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Sends the cases with these flags to one server; returns the failures.
fn run_all(flags: &[String], cases: &[Case]) -> Vec<String> {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::new("corpus")
        .lab()
        .workers(2)
        .threads(2)
        .args(&["--limit-request-body", "100000"])
        .args(&flags)
        .start();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            for cut in CUTS {
                if let Err(problem) = run(&server, case, cut) {
                    failures.push(format!("{}, {cut:?}: {problem}", case.name));
                }
            }
        }
        failures
    };
    thread::scope(|scope| {
        let runners: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        let outcomes = runners.into_iter().map(|it| it.join().expect("no panic"));
        outcomes.flatten().collect()
    })
}

fn find(directory: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).expect("the corpus is there");
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            find(&path, paths);
        } else if path.extension().is_some_and(|it| it == "http") {
            paths.push(path);
        }
    }
}

/// Sends a case and compares; the error says what differs.
fn run(server: &Server, case: &Case, cut: Cut) -> Result<(), String> {
    let mut client = server.client();
    for piece in pieces(&case.bytes, cut, &case.name) {
        // The server may have refused the request and closed: only the answer counts.
        if client.send(piece).is_err() {
            break;
        }
        thread::yield_now();
    }
    let mut said = String::new();
    for (number, expected) in case.answers.iter().enumerate() {
        let answer = client
            .answer_to(expected.method)
            .map_err(|error| format!("answer {}: {error}", number + 1))?;
        if answer.status != expected.status {
            return Err(format!(
                "answer {}: {} instead of {}",
                number + 1,
                answer.status,
                expected.status
            ));
        }
        let last = number + 1 == case.answers.len();
        let is_closing = matches!(case.ending, Ending::Close | Ending::CloseOrReset);
        if answer.closes() != (last && is_closing) {
            return Err(format!(
                "answer {}: Connection: {:?}",
                number + 1,
                answer.field("Connection")
            ));
        }
        said.push_str(&answer.text());
        said.push('\n');
    }
    let mut rest = said.as_str();
    for text in &case.says {
        let at = rest
            .find(text.as_str())
            .ok_or_else(|| format!("{text:?} is not in {said:?}"))?;
        rest = &rest[at + text.len()..];
    }
    end(&mut client, case.ending)
}

/// Checks the end of the connection.
fn end(client: &mut Client, ending: Ending) -> Result<(), String> {
    let fail = |error: io::Error| format!("at the end: {error}");
    match ending {
        Ending::Keep => {
            client
                .send(b"GET /head HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
                .map_err(fail)?;
            let answer = client.answer().map_err(fail)?;
            if answer.status != 200 || !answer.text().contains("Host=probe") {
                return Err(format!("the next request got {answer:?}"));
            }
        }
        Ending::Close | Ending::CloseOrReset => {}
        // The server may have closed before, for another reason: then it has sent one answer too many, which is found
        // below.
        Ending::Silent => drop(client.finish()),
    }
    match client.rest() {
        Ok(rest) if rest.is_empty() => Ok(()),
        Err(error)
            if ending == Ending::CloseOrReset && error.kind() == io::ErrorKind::ConnectionReset =>
        {
            Ok(())
        }
        Ok(rest) => Err(format!("more than expected: {}", rest.escape_ascii())),
        Err(error) => Err(fail(error)),
    }
}

fn pieces<'a>(bytes: &'a [u8], cut: Cut, name: &str) -> Vec<&'a [u8]> {
    let step = if bytes.len() > SHORT {
        bytes.len() / 200
    } else {
        1
    };
    match cut {
        Cut::Whole => vec![bytes],
        Cut::Lines => bytes.split_inclusive(|&byte| byte == b'\n').collect(),
        Cut::Bytes => bytes.chunks(step).collect(),
        Cut::Random(seed) => {
            let mut random = Random::new(seed, name);
            let mut pieces = Vec::new();
            let mut rest = bytes;
            while !rest.is_empty() {
                let length = (random.next() as usize % (20 * step)).clamp(1, rest.len());
                let (piece, after) = rest.split_at(length);
                pieces.push(piece);
                rest = after;
            }
            pieces
        }
    }
}

/// A linear congruential generator (Knuth, MMIX): the same cuts in every run.
struct Random(u64);

impl Random {
    fn new(seed: u64, name: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(seed, mix))
    }

    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

#[test]
fn a_client_that_has_shut_its_side_gets_its_answers() {
    let server = Server::new("half-closed").lab().start();
    let mut client = server.client();
    client
        .send(b"GET /sleep?ms=100 HTTP/1.1\r\nHost: a\r\n\r\nGET /head HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    client.finish().expect("shut");
    assert_eq!(client.answer().expect("the first answer").status, 200);
    assert_eq!(client.answer().expect("the second answer").status, 200);
    assert!(client.rest().expect("the end").is_empty());
}
