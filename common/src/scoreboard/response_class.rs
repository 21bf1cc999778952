//! Methods and status codes as small numbers: the place of a response in the table of counts.
//!
//! Both are sets that clients cannot make larger: what no RFC knows is `other`. So the table is a fixed one, and
//! counting needs neither a search nor memory.

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

/// The place of codes that are not in [`CODES`].
const OTHER_CODE: usize = CODES.len();
/// Words per method: whole cache lines.
const ROW: usize = (CODES.len() + 1).next_multiple_of(8);
/// Words of the table.
pub(super) const CLASSES: usize = METHODS.len() * ROW;

const FIRST: usize = CODES[0] as usize;
const LAST: usize = CODES[CODES.len() - 1] as usize;

/// The place of each code in a row.
const PLACES: [u8; LAST - FIRST + 1] = {
    let mut places = [OTHER_CODE as u8; LAST - FIRST + 1];
    let mut index = 0;
    while index < CODES.len() {
        places[CODES[index] as usize - FIRST] = index as u8;
        index += 1;
    }
    places
};

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

/// Method and code of a place in the table; the code is 0 if no RFC knows it. `None` for a place that is never used.
pub(super) fn method_and_code(class: usize) -> Option<(&'static str, u16)> {
    let method = METHODS.get(class / ROW)?;
    let code = match class % ROW {
        OTHER_CODE => 0,
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
        for (method, code) in [("BREW", 199), ("get", 0), ("", 599), ("other", u16::MAX)] {
            let class = class_of(method.as_bytes(), code);
            assert_eq!(
                method_and_code(class),
                Some(("other", 0)),
                "{method} {code}"
            );
        }
        assert!((0..CLASSES + ROW).filter_map(method_and_code).count() == 10 * 59);
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
