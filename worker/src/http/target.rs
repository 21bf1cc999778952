//! Request targets: the forms of RFC 9112 section 3.2, in the characters of RFC 3986.

use super::RequestError;
use super::authority::is_authority;

/// Rejects a target that is not valid in a URI, or whose form does not fit the method.
pub(crate) fn check(method: &str, target: &str) -> Result<(), RequestError> {
    if !are_uri_bytes(target.as_bytes()) {
        return Err(RequestError::TargetCharacter);
    }
    if method == "CONNECT" {
        return Err(RequestError::Connect);
    }
    match target.as_bytes() {
        [b'/', ..] => Ok(()),
        b"*" if method == "OPTIONS" => Ok(()),
        _ => match Absolute::of(target) {
            Some(absolute) if is_authority(absolute.authority(target).as_bytes()) => Ok(()),
            Some(_) => Err(RequestError::Authority),
            None => Err(RequestError::Target),
        },
    }
}

/// The authority of an absolute-form target, `http://host...`, by its position in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absolute {
    /// The scheme is `https`.
    pub(crate) secure: bool,
    pub(crate) start: u32,
    pub(crate) length: u32,
}

impl Absolute {
    pub(crate) fn of(target: &str) -> Option<Self> {
        if target.starts_with('/') {
            return None;
        }
        let (scheme, rest) = target.split_once("://")?;
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let length = rest.find(['/', '?']).unwrap_or(rest.len());
        Some(Self {
            secure,
            start: u32::try_from(scheme.len() + 3).ok()?,
            length: u32::try_from(length).ok()?,
        })
    }

    fn authority(self, target: &str) -> &str {
        let start = self.start as usize;
        &target[start..start + self.length as usize]
    }
}

/// Whether `bytes` are valid in the path and query of a URI: no fragment (RFC 9112 section 3.2.1), and a percent
/// sign only before two digits. Square brackets pass, which RFC 3986 wants encoded but browsers send as they are.
pub(super) fn are_uri_bytes(bytes: &[u8]) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_graphic()
            & !matches!(
                byte,
                b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    };
    let all = bytes.iter().fold(true, |all, &byte| all & is_allowed(byte));
    all && memchr::memchr_iter(b'%', bytes).all(|at| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(line: &str) -> u16 {
        let (method, target) = line.split_once(' ').expect("a method and a target");
        check(method, target).map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn the_form_fits_the_method() {
        for good in [
            "GET /",
            "GET //",
            "GET /a?b",
            "OPTIONS *",
            "OPTIONS /",
            "GET http://a",
            "GET http://a?b",
            "GET https://a:1/b",
            "GET http://[::1]:/",
            "GET /http://a",
            "GET /?http://:",
        ] {
            assert_eq!(status(good), 200, "{good}");
        }
        for bad in [
            "GET *",
            "GET a",
            "GET a:80",
            "GET ?",
            "GET ftp://a/",
            "GET http:/a",
            "GET http:a",
            "OPTIONS **",
            "OPTIONS *?a",
            "GET http://",
            "GET http:///a",
            "GET http://?a",
            "GET http://:80/",
            "GET http://@/",
            "GET http://b@a/",
            "GET http://b:c@a/",
            "GET http://[::1/",
            "GET http://::1/",
            "GET http://a:b/",
            "GET http://a:1:2/",
            "GET http://a:65536/",
        ] {
            assert_eq!(status(bad), 400, "{bad}");
        }
        assert_eq!((status("CONNECT a:80"), status("CONNECT /a")), (501, 501));
    }

    #[test]
    fn the_characters_are_those_of_a_uri() {
        assert_eq!(status("GET /-._~!$&'()*+,;=:@/%00%fF?/?[]"), 200);
        for bad in "\"#<>\\^`{|} \u{7f}\u{1}\u{e4}".chars() {
            for form in ["/", "/a?", "http://a/", "/%4"] {
                assert_eq!(status(&format!("GET {form}{bad}")), 400, "{form}{bad:?}");
            }
        }
        for bad in ["%", "%4", "%zz", "%4g", "%%41", "%u0041", "?%", "?a=%zz%"] {
            assert_eq!(status(&format!("GET /{bad}")), 400, "{bad}");
        }
    }
}
