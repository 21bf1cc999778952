//! Gives each request its id: the one that a trusted peer has sent, or a new one.
//!
//! New ids need no system call and no lock. Each thread counts from a random number of its own, read from the kernel
//! after the fork; a bijection of 128 bits spreads the count. So a thread never makes an id twice, and two threads of
//! any processes practically never make the same one. They can be guessed: an id is a name and no secret.

use log::error;
use oxicorn_common::Settings;
use oxicorn_common::request::{RequestHead, RequestId};
use rustix::rand::{GetRandomFlags, getrandom};

/// Odd, so that the count passes through all numbers: the golden ratio, as in SplitMix64.
const STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
/// Odd multipliers with bits all over: those of MurmurHash3's and SplitMix64's finishers, side by side.
const MIX: [u128; 2] = [
    0xff51_afd7_ed55_8ccd_bf58_476d_1ce4_e5b9,
    0xc4ce_b9fe_1a85_ec53_94d0_49bb_1331_11eb,
];

/// The source of one thread.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// The field that has the id; `None` if requests have none.
    field: Option<String>,
    count: u128,
}

/// The response field that returns the id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdField<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: RequestId,
}

impl RequestIds {
    pub(crate) fn new(settings: &Settings) -> Self {
        let field = settings.request_id.clone();
        let count = field.as_ref().map_or(0, |_| seed());
        Self { field, count }
    }

    /// The id of the request with this head, if its peer is `trusted` and has sent one; otherwise a new one. A request
    /// that cannot be read has no head.
    pub(crate) fn of(&mut self, head: Option<&RequestHead>, trusted: bool) -> Option<RequestId> {
        let field = self.field.as_deref()?;
        let given = head.filter(|_| trusted).and_then(|it| given(it, field));
        Some(given.unwrap_or_else(|| self.make()))
    }

    /// The field that returns the id.
    pub(crate) fn field_of(&self, id: Option<RequestId>) -> Option<IdField<'_>> {
        IdField::of(self.field.as_deref(), id)
    }

    fn make(&mut self) -> RequestId {
        self.count = self.count.wrapping_add(STEP);
        RequestId::of(spread(self.count))
    }
}

impl<'a> IdField<'a> {
    /// `name` is that of the setting `request_id`.
    pub(crate) fn of(name: Option<&'a str>, id: Option<RequestId>) -> Option<Self> {
        let (name, id) = name.zip(id)?;
        Some(Self { name, id })
    }
}

/// The one field of that name.
fn given(head: &RequestHead, field: &str) -> Option<RequestId> {
    let mut values = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(field));
    let (_, value) = values.next()?;
    match values.next() {
        None => RequestId::given(value),
        // Nobody knows which of them others have logged.
        Some(_) => None,
    }
}

/// A bijection: each step can be undone.
fn spread(mut number: u128) -> u128 {
    for factor in MIX {
        number ^= number >> 65;
        number = number.wrapping_mul(factor);
    }
    number ^ (number >> 63)
}

fn seed() -> u128 {
    let mut octets = [0; 16];
    // The kernel has its random numbers long before a server starts, and never gives less of so few (getrandom(2)).
    if let Err(reason) = getrandom(&mut octets, GetRandomFlags::empty()) {
        error!("request ids may repeat: the kernel gives no random numbers: {reason}");
        return u128::from(std::process::id());
    }
    u128::from_ne_bytes(octets)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::head::Scan;
    use crate::http::rules::Rules;

    fn ids() -> RequestIds {
        RequestIds::new(&Settings {
            request_id: Some("X-Request-ID".to_owned()),
            ..Settings::default()
        })
    }

    fn head(fields: &str) -> RequestHead {
        let input = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let (mut scan, mut head) = (Scan::default(), RequestHead::default());
        let end = scan.find_end(input.as_bytes(), &Rules::default());
        let end = end.expect("a head").expect("all of it");
        scan.parse(input.as_bytes(), end, &Rules::default(), &mut head)
            .expect("a head");
        head
    }

    #[test]
    fn no_two_ids_are_the_same() {
        let threads = (0..4).map(|_| {
            std::thread::spawn(|| {
                let mut ids = ids();
                let made = (0..50_000).filter_map(|_| ids.of(None, true));
                made.map(|id| id.to_string()).collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        let made = threads
            .into_iter()
            .flat_map(|it| it.join().expect("no panic"));
        let distinct: HashSet<String> = made.collect();
        assert_eq!(distinct.len(), 200_000);
    }

    #[test]
    fn neighbours_have_nothing_in_common() {
        let mut ids = ids();
        let mut numbers = (0..1000).map(|_| {
            let id = ids.of(None, true).expect("an id");
            u128::from_str_radix(id.as_str(), 16).expect("a number")
        });
        let mut last = numbers.next().expect("a number");
        for number in numbers {
            let different = (number ^ last).count_ones();
            assert!((24..104).contains(&different), "{number:032x} {last:032x}");
            last = number;
        }
    }

    #[test]
    fn only_a_trusted_peer_gives_an_id() {
        let mut ids = ids();
        let mut taken = |fields, trusted| {
            let id = ids.of(Some(&head(fields)), trusted).expect("an id");
            id.as_str() == "one"
        };
        assert!(taken("Host: a\r\nX-REQUEST-id: one\r\n", true));
        assert!(!taken("X-Request-ID: one\r\n", false));
        assert!(!taken("X-Request-ID: one\r\nX-Request-ID: one\r\n", true));
        assert!(!taken("X-Request-ID: \"one\"\r\n", true));
        assert!(!taken("", true));
    }

    #[test]
    fn without_the_setting_there_is_none() {
        let mut ids = RequestIds::new(&Settings::default());
        assert_eq!(ids.of(Some(&head("X-Request-ID: one\r\n")), true), None);
    }
}
