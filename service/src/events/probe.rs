//! Finds out which protocol versions brokers support, with one `ApiVersions` request of version 0, which every broker
//! since 0.10 answers. The result decides which client is used.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::EventsError;

/// How long a broker may take for each step of its answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// No broker lists more than a few dozen calls of six bytes.
const LONGEST_ANSWER: usize = 64 * 1024;
const API_VERSIONS: i16 = 18;
const CLIENT: &[u8] = b"oxicorn";

/// What the `kafka` crate sends: a call's number in the protocol, and the version.
pub(super) const LEGACY_CALLS: [(i16, i16); 7] = [
    (0, 0),  // Produce
    (1, 0),  // Fetch
    (2, 0),  // ListOffsets
    (3, 0),  // Metadata
    (8, 1),  // OffsetCommit
    (9, 1),  // OffsetFetch
    (10, 0), // FindCoordinator
];

/// A call's number, and the oldest and the newest version of it.
pub(super) type Offer = (i16, i16, i16);

/// Which client speaks with the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerGeneration {
    /// The `kafka` crate, for brokers before 4.0.
    Legacy,
    /// `rdkafka`.
    Modern,
}

/// The generation of the brokers: legacy only if all that answer are. A cluster in the middle of an upgrade is modern.
///
/// # Errors
/// Why the last broker did not answer, when none did.
pub(crate) fn probe(brokers: &[String]) -> Result<BrokerGeneration, EventsError> {
    let mut found = None;
    let mut problem = None;
    for broker in brokers {
        match ask(broker) {
            Ok(true) if found.is_none() => found = Some(BrokerGeneration::Legacy),
            Ok(true) => {}
            Ok(false) => found = Some(BrokerGeneration::Modern),
            Err(error) => problem = Some(error),
        }
    }
    match (found, problem) {
        (Some(generation), _) => Ok(generation),
        (None, Some(error)) => Err(error),
        (None, None) => Err(EventsError::NotKafka("nobody".to_owned())),
    }
}

/// Whether this broker still supports every call that the legacy client sends.
fn ask(broker: &str) -> Result<bool, EventsError> {
    let calls = offers(broker)?;
    Ok(LEGACY_CALLS.iter().all(|&(call, version)| {
        calls
            .iter()
            .any(|&(key, min, max)| key == call && (min..=max).contains(&version))
    }))
}

/// All calls that this broker supports.
pub(super) fn offers(broker: &str) -> Result<Vec<Offer>, EventsError> {
    let answer = exchange(broker).map_err(|source| EventsError::Unreachable {
        broker: broker.to_owned(),
        source,
    })?;
    parse(&answer).ok_or_else(|| EventsError::NotKafka(broker.to_owned()))
}

fn exchange(broker: &str) -> io::Result<Vec<u8>> {
    let mut problem = io::Error::from(io::ErrorKind::NotFound);
    for address in broker.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return converse(stream),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

fn converse(mut stream: TcpStream) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut request = Vec::with_capacity(32);
    let length = u32::try_from(10 + CLIENT.len()).expect("a short name");
    request.extend(length.to_be_bytes());
    request.extend(API_VERSIONS.to_be_bytes());
    request.extend(0_i16.to_be_bytes()); // version
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend(
        u16::try_from(CLIENT.len())
            .expect("a short name")
            .to_be_bytes(),
    );
    request.extend(CLIENT);
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The calls of an answer, which begins with the correlation and an error code.
fn parse(answer: &[u8]) -> Option<Vec<Offer>> {
    let (head, calls) = answer.split_first_chunk::<10>()?;
    let [0, 0, 0, 1, 0, 0, count @ ..] = *head else {
        return None;
    };
    let count = usize::try_from(u32::from_be_bytes(count)).ok()?;
    let calls: Vec<_> = calls
        .chunks_exact(6)
        .take(count)
        .map(|call| {
            let number = |at: usize| i16::from_be_bytes([call[at], call[at + 1]]);
            (number(0), number(2), number(4))
        })
        .collect();
    (calls.len() == count).then_some(calls)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;
    use crate::events::testing::{brokers_4, brokers_39};

    #[test]
    fn each_generation_is_told() {
        assert_eq!(
            probe(&brokers_39()).expect("an answer"),
            BrokerGeneration::Legacy
        );
        assert_eq!(
            probe(&brokers_4()).expect("an answer"),
            BrokerGeneration::Modern
        );
        let both = [brokers_39(), brokers_4()].concat();
        assert_eq!(probe(&both).expect("an answer"), BrokerGeneration::Modern);
    }

    #[test]
    fn a_broker_that_is_hung_costs_no_more_than_the_deadline() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound").to_string();
        let began = Instant::now();
        let error = probe(&[address]).expect_err("nobody answers");
        assert!(matches!(error, EventsError::Unreachable { .. }), "{error}");
        assert!(began.elapsed() < 3 * TIMEOUT, "{:?}", began.elapsed());
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        let whole = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 9];
        assert_eq!(parse(&whole), Some(vec![(3, 0, 9)]));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
    }
}
