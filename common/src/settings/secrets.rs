//! Masks passwords in everything that is shown, because it ends up in logs, terminals and tickets.
//!
//! A password may contain any character, also `@` and `/`, which must be escaped in a URL. An unescaped one makes the
//! URL invalid, and so it is shown in an error message. So this masks too much rather than too little.

pub(super) const MASK: &str = "***";

/// Parts of the names of secrets.
const WORDS: [&str; 8] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
];

/// `text`, the value of a setting, without its passwords: those of `USER:PASSWORD@HOST` in a URL or
/// alone, and of `password=..` in a URL's query, in the words of libpq, and in JSON.
pub fn mask(text: &str) -> String {
    mask_userinfo(&mask_parameters(text))
}

/// From the first colon after the scheme to the last `@`, wherever that is.
fn mask_userinfo(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let rest = &text[start..];
    let Some(end) = rest.rfind('@') else {
        return text.to_owned();
    };
    match rest[..end].find(':') {
        Some(colon) => format!("{}{MASK}{}", &text[..start + colon + 1], &rest[end..]),
        None => text.to_owned(),
    }
}

fn mask_parameters(text: &str) -> String {
    let is_url = text.contains("://");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at);
        let value = after[1..].trim_start();
        let is_json = after.starts_with(':') && before.trim_end().ends_with(['"', '\'']);
        if !is_secret(before) || !(after.starts_with('=') || is_json) {
            shown.push_str(&rest[..=at]);
            rest = &after[1..];
            continue;
        }
        shown.push_str(&rest[..rest.len() - value.len()]);
        shown.push_str(MASK);
        rest = &value[length(value, is_url)..];
    }
    shown + rest
}

/// Whether `text` ends with the name of a secret.
fn is_secret(text: &str) -> bool {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '%');
    let start = text.rfind(|it| !is_part(it)).map_or(0, |at| at + 1);
    let name = text.get(start..).unwrap_or_default().to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// The length of the value that `text` begins with: to its closing quotation mark, as in libpq and JSON, or to the
/// next parameter.
fn length(text: &str, is_url: bool) -> usize {
    let quote = text.chars().next().filter(|it| matches!(it, '\'' | '"'));
    if let Some(quote) = quote {
        let mut escaped = false;
        for (at, character) in text.char_indices().skip(1) {
            if character == quote && !escaped {
                return at + 1;
            }
            escaped = character == '\\' && !escaped;
        }
        return text.len();
    }
    let ends = |it: char| match is_url {
        true => it == '&',
        false => it.is_whitespace(),
    };
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_every_form() {
        for (text, shown) in [
            ("postgres://u:p@h/d", "postgres://u:***@h/d"),
            ("postgres://u:p@ss:w@h:1/d", "postgres://u:***@h:1/d"),
            ("postgres://u:p/w@h/d", "postgres://u:***@h/d"),
            ("postgres://u:p?w#x@h/d", "postgres://u:***@h/d"),
            ("postgres://u:p w@h/d", "postgres://u:***@h/d"),
            ("redis://:p@h/0", "redis://:***@h/0"),
            ("redis://h/0?password=p#q", "redis://h/0?password=***"),
            (
                "postgres://h/d?user=u&password=p/@:w&sslmode=require",
                "postgres://h/d?user=u&password=***&sslmode=require",
            ),
            (
                "postgres://h/d?sslpassword=p&x=y",
                "postgres://h/d?sslpassword=***&x=y",
            ),
            (
                "host=h password=p@:w&x user=u",
                "host=h password=*** user=u",
            ),
            (
                r"host=h PASSWORD = 'it\'s p' user=u",
                "host=h PASSWORD = *** user=u",
            ),
            ("u:p@h:9092", "u:***@h:9092"),
            ("sasl.password=p", "sasl.password=***"),
            (
                r#"{"password": "p\"q", "a": 1}"#,
                r#"{"password": ***, "a": 1}"#,
            ),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "postgres://u@h/d",
            "sqlite:a.db",
            "127.0.0.1:8000,[::1]:80",
            r#"%(h)s %(t)s "%(r)s" %(s)s "%({x-token}i)s""#,
            "X-FORWARDED-PROTO=https,X-FORWARDED-SSL=on",
            "password",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
