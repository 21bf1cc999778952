//! The user name of `Authorization: Basic` (RFC 7617 section 2), which the access log shows.

/// The user of the field's value, if it names one.
pub(super) fn user(authorization: &[u8]) -> Option<String> {
    let credentials = credentials(authorization)?;
    let user = credentials.split(|&byte| byte == b':').next()?;
    let user = std::str::from_utf8(user).ok()?;
    (!user.is_empty()).then(|| user.to_owned())
}

fn credentials(authorization: &[u8]) -> Option<Vec<u8>> {
    let space = authorization.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = authorization.split_at(space);
    match scheme.eq_ignore_ascii_case(b"basic") {
        true => decode_base64(rest.trim_ascii()),
        false => None,
    }
}

/// RFC 4648 section 4.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_suffix(b"==").or(text.strip_suffix(b"="));
    let digits = digits.unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
