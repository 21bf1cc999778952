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
    latest: Option<RequestId>,
}

/// The response field that returns the id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdField<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
}

impl RequestIds {
    pub(crate) fn new(settings: &Settings) -> Self {
        let field = settings.request_id.clone();
        let count = field.as_ref().map_or(0, |_| seed());
        Self {
            field,
            count,
            latest: None,
        }
    }

    /// Gives the request with this head its id: what its peer has sent, if that is `trusted`, otherwise a new one.
    pub(crate) fn assign(&mut self, head: &mut RequestHead, trusted: bool) {
        let Some(field) = self.field.as_deref() else {
            return;
        };
        let given = if trusted { given(head, field) } else { None };
        let id = given.unwrap_or_else(|| self.make());
        head.id.clear();
        head.id.push_str(id.as_str());
        self.latest = Some(id);
    }

    /// The field that returns the latest id.
    pub(crate) fn latest_field(&self) -> Option<IdField<'_>> {
        let id = self.latest.as_ref().map_or("", RequestId::as_str);
        IdField::of(self.field.as_deref(), id)
    }

    fn make(&mut self) -> RequestId {
        self.count = self.count.wrapping_add(STEP);
        RequestId::of(spread(self.count))
    }
}

impl<'a> IdField<'a> {
    /// `name` is that of the setting `request_id`.
    pub(crate) fn of(name: Option<&'a str>, id: &'a str) -> Option<Self> {
        let name = name.filter(|_| !id.is_empty())?;
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
                (0..50_000)
                    .map(|_| ids.make().to_string())
                    .collect::<Vec<_>>()
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
            let id = ids.make();
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
            let mut head = head(fields);
            ids.assign(&mut head, trusted);
            assert_eq!(ids.latest_field().map(|it| it.id), Some(head.id.as_str()));
            assert!(!head.id.is_empty());
            head.id == "one"
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
        let mut head = head("X-Request-ID: one\r\n");
        ids.assign(&mut head, true);
        assert!(head.id.is_empty() && ids.latest_field().is_none());
    }
}
