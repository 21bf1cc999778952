//! Methods and status codes as small numbers: the place of a response in the table of counts.
//!
//! Both are sets that clients cannot make larger: a method that no RFC knows is `other`, and of such a code only the
//! class counts, as 5xx. So the table is a fixed one, and counting needs neither a search nor memory.

/// RFC 9110 section 9.3, RFC 5789; the last stands for all others.
pub(super) const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", OTHER,
];

const OTHER: &str = "other";

/// The codes of final responses in the registry of status codes (iana.org/assignments/http-status-codes).
pub(super) const CODES: [u16; 58] = [
    200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421,
    422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510,
    511,
];

/// The place of what is no final status code at all. Those of the classes follow.
const OTHER_CODE: usize = CODES.len();
/// The first digits of codes: a code that is not in [`CODES`] counts as that of its class.
const CLASS_DIGITS: std::ops::RangeInclusive<usize> = 2..=5;
const END: usize = OTHER_CODE + 1 + *CLASS_DIGITS.end() - *CLASS_DIGITS.start() + 1;
/// Words per method: whole cache lines.
const ROW: usize = END.next_multiple_of(8);
/// Words of the table.
pub(super) const CLASSES: usize = METHODS.len() * ROW;

const FIRST: usize = CODES[0] as usize;
const LAST: usize = 599;

/// The place of each code in a row.
const PLACES: [u8; LAST - FIRST + 1] = {
    let mut places = [0; LAST - FIRST + 1];
    let mut offset = 0;
    while offset < places.len() {
        places[offset] = place_of_class((FIRST + offset) / 100) as u8;
        offset += 1;
    }
    let mut index = 0;
    while index < CODES.len() {
        places[CODES[index] as usize - FIRST] = index as u8;
        index += 1;
    }
    places
};

/// The place of codes with this first digit that no RFC knows.
const fn place_of_class(digit: usize) -> usize {
    OTHER_CODE + 1 + digit - *CLASS_DIGITS.start()
}

/// The place of a response in the table.
pub(super) fn class_of(method: &[u8], code: u16) -> usize {
    // In the order of `METHODS`. The compiler makes comparisons of numbers of it.
    let row = match method {
        b"GET" => 0,
        b"HEAD" => 1,
        b"POST" => 2,
        b"PUT" => 3,
        b"DELETE" => 4,
        b"CONNECT" => 5,
        b"OPTIONS" => 6,
        b"TRACE" => 7,
        b"PATCH" => 8,
        _ => METHODS.len() - 1,
    };
    let place = (code as usize)
        .checked_sub(FIRST)
        .and_then(|offset| PLACES.get(offset))
        .map_or(OTHER_CODE, |&place| place as usize);
    row * ROW + place
}

/// Method and code of a place in the table. A code that no RFC knows is its first digit, or 0 if that is not 2 to 5.
/// `None` for a place that is never used.
pub(super) fn method_and_code(class: usize) -> Option<(&'static str, u16)> {
    let method = METHODS.get(class / ROW)?;
    let code = match class % ROW {
        OTHER_CODE => 0,
        place if (OTHER_CODE..END).contains(&place) => {
            (place - OTHER_CODE - 1 + *CLASS_DIGITS.start()) as u16
        }
        place => *CODES.get(place)?,
    };
    Some((method, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_pair_has_a_place_of_its_own_and_all_others_share_one() {
        for (row, method) in METHODS.iter().enumerate() {
            for (place, &code) in CODES.iter().enumerate() {
                let class = class_of(method.as_bytes(), code);
                assert_eq!(class, row * ROW + place);
                assert_eq!(method_and_code(class), Some((*method, code)));
            }
        }
        for (method, code, known) in [
            ("BREW", 199, 0),
            ("get", 0, 0),
            ("", 600, 0),
            ("other", u16::MAX, 0),
            ("BREW", 299, 2),
            ("BREW", 306, 3),
            ("BREW", 499, 4),
            ("BREW", 509, 5),
            ("BREW", 520, 5),
            ("BREW", 599, 5),
        ] {
            let class = class_of(method.as_bytes(), code);
            let expected = Some(("other", known));
            assert_eq!(method_and_code(class), expected, "{method} {code}");
        }
        assert!((0..CLASSES + ROW).filter_map(method_and_code).count() == 10 * 63);
    }

    #[test]
    fn the_codes_are_those_with_a_reason_phrase() {
        let known = (200..600).filter(|&code| {
            let code = http::StatusCode::from_u16(code).expect("three digits");
            // 509 is in no RFC, 104 and others below 200 are interim.
            code.canonical_reason().is_some()
        });
        assert!(known.eq(CODES));
    }
}
