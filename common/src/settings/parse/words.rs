//! Parses names and lists in gunicorn's forms.

use super::Parsed;

/// The only possible value; the error says what to use instead of another.
pub(in crate::settings) fn only(text: &str, value: &str, instead: &str) -> Parsed<()> {
    match text.trim().eq_ignore_ascii_case(value) {
        true => Ok(()),
        false if value.is_empty() => Err(format!("nothing: {instead}")),
        false => Err(format!("{value}: {instead}")),
    }
}

/// One of `words`, in any case.
pub(in crate::settings) fn one_of(text: &str, words: &[&'static str]) -> Parsed<&'static str> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| words.join(", "))
}

/// A class of worker. Its module does not matter, so that gunicorn's full names are accepted.
pub(in crate::settings) fn worker_class(text: &str) -> Parsed<String> {
    let class = text.rsplit(['.', ':', '#']).next().unwrap_or(text);
    match class {
        "sync" | "gthread" | "threads" | "SyncWorker" | "ThreadWorker" => {
            return Ok(text.to_owned());
        }
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let asgi = ["uvicorn", "asgi", "daphne", "hypercorn", "aiohttp"];
    let instead = if asgi.iter().any(|name| lower.contains(name)) {
        "there are WSGI applications only; serve ASGI with uvicorn"
    } else if ["gevent", "eventlet", "greenlet"]
        .iter()
        .any(|name| lower.contains(name))
    {
        "there are no greenlets; idle and slow clients hold no thread here, so raise threads \
         instead"
    } else if lower.contains("tornado") {
        "run a Tornado application by its own server"
    } else {
        "there is one kind of worker, with threads"
    };
    Err(format!("sync or gthread: {instead}"))
}

/// A class by its module and name; `simple` is the default one.
pub(in crate::settings) fn logger_class(text: &str) -> Parsed<String> {
    let mut names = text.split(['.', ':']);
    let is_name = |name: &str| {
        let legal = |it: char| it.is_alphanumeric() || it == '_' || it == '<' || it == '>';
        !name.is_empty() && name.chars().all(legal)
    };
    match text == "simple" || names.clone().count() > 1 && names.all(is_name) {
        true => Ok(text.to_owned()),
        false => Err("a class as module.Class".to_owned()),
    }
}

/// A version by the names, or numbers, of Python's `ssl.PROTOCOL_*`.
pub(in crate::settings) fn tls_version(text: &str) -> Parsed<String> {
    let name = text.strip_prefix("PROTOCOL_").unwrap_or(text);
    match name {
        "TLS" | "SSLv23" | "TLS_SERVER" | "2" | "17" => Ok("TLS".to_owned()),
        "TLSv1_2" | "5" => Ok("TLSv1_2".to_owned()),
        _ => Err("TLS: version 1.2 or newer, as older ones can be broken".to_owned()),
    }
}

/// `NAME=VALUE,...` with the names in capitals.
pub(in crate::settings) fn scheme_headers(text: &str) -> Parsed<Vec<(String, String)>> {
    let items = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    items
        .map(|item| match item.split_once('=') {
            Some((name, value)) if is_field_name(name.trim()) => {
                Ok((name.trim().to_ascii_uppercase(), value.trim().to_owned()))
            }
            _ => Err("NAME=VALUE of header fields, with commas between them".to_owned()),
        })
        .collect()
}

/// Names of header fields with commas between them, converted to capitals.
pub(in crate::settings) fn field_names(text: &str) -> Parsed<Vec<String>> {
    let items = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    items
        .map(|item| match is_field_name(item) {
            true => Ok(item.to_ascii_uppercase()),
            false => Err("names of header fields, with commas between them".to_owned()),
        })
        .collect()
}

/// Fields that frame a message or have another meaning already.
const TAKEN: [&str; 18] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "traceparent",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// The field of a request's id: a name, `on` for the usual one, or `off`.
pub(in crate::settings) fn request_id_field(text: &str) -> Parsed<Option<String>> {
    let name = text.trim();
    match super::switch(name) {
        Ok(true) => Ok(Some("X-Request-ID".to_owned())),
        Ok(false) => Ok(None),
        Err(_) if TAKEN.iter().any(|it| it.eq_ignore_ascii_case(name)) => Err(format!(
            "off, on, or a field of its own: {name} has another meaning"
        )),
        // Fields with an underscore do not reach the application: see `header_map`.
        Err(_) if is_field_name(name) && !name.contains('_') => Ok(Some(name.to_owned())),
        Err(_) => Err("off, on, or the name of a header field such as X-Request-ID".to_owned()),
    }
}

/// The token of RFC 9110 section 5.6.2.
fn is_field_name(text: &str) -> bool {
    let legal = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !text.is_empty() && text.bytes().all(legal)
}

/// Nothing, or an absolute path without a final slash.
pub(in crate::settings) fn root_path(text: &str) -> Parsed<String> {
    let path = text.trim_end_matches('/');
    match path.is_empty() || path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err("a path that begins with /".to_owned()),
    }
}

/// A path as clients send it: whatever a target may have (RFC 3986) up to its query.
pub(in crate::settings) fn health_path(text: &str) -> Parsed<Option<String>> {
    let is_path_byte = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    match text {
        "" => Ok(None),
        _ if text.starts_with('/') && text.bytes().all(is_path_byte) => Ok(Some(text.to_owned())),
        _ => Err("a path such as /health, without a query and percent-encoded".to_owned()),
    }
}

/// The value of a field (RFC 9110 section 5.5); nothing is no field.
pub(in crate::settings) fn server_header(text: &str) -> Parsed<String> {
    let text = text.trim();
    match text {
        _ if text.eq_ignore_ascii_case("none") => Ok(String::new()),
        _ if text.chars().any(char::is_control) => {
            Err("the value of a header field, without control characters".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// `NAME=VALUE`, where `\=` stands for an equals sign.
pub(in crate::settings) fn paste_assignment(text: &str) -> Parsed<(String, String)> {
    let bytes = text.as_bytes();
    let at = (0..bytes.len()).find(|&at| bytes[at] == b'=' && (at == 0 || bytes[at - 1] != b'\\'));
    match at {
        Some(at) if at > 0 => Ok((
            text[..at].replace("\\=", "="),
            text[at + 1..].replace("\\=", "="),
        )),
        _ => Err("NAME=VALUE".to_owned()),
    }
}

/// A JSON object; an empty one is none. Only Python reads its contents.
pub(in crate::settings) fn json_object(text: &str) -> Parsed<Option<String>> {
    let text = text.trim();
    let inside = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    match inside.map(str::trim) {
        None if text.is_empty() => Ok(None),
        Some("") => Ok(None),
        Some(_) => Ok(Some(text.to_owned())),
        None => Err("a JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_classes_are_one_or_refused_with_a_remedy() {
        for text in [
            "sync",
            "gthread",
            "gunicorn.workers.sync.SyncWorker",
            "egg:gunicorn#sync",
            "egg:gunicorn#gthread",
            "gunicorn.workers.gthread:ThreadWorker",
        ] {
            assert!(worker_class(text).is_ok(), "{text}");
        }
        for (text, remedy) in [
            ("gevent", "threads"),
            ("uvicorn.workers.UvicornWorker", "uvicorn"),
            ("tornado", "Tornado"),
            ("my.Worker", "one kind"),
        ] {
            assert!(worker_class(text).is_err_and(|it| it.contains(remedy)));
        }
    }

    #[test]
    fn old_tls_is_refused() {
        assert_eq!(tls_version("SSLv23"), Ok("TLS".to_owned()));
        for text in ["TLSv1", "TLSv1_1", "SSLv3", "3", ""] {
            assert!(tls_version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_fields() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            scheme_headers("x-a=1, X-B = on"),
            Ok(vec![pair("X-A", "1"), pair("X-B", "on")])
        );
        assert!(scheme_headers("X-A").is_err() && scheme_headers("a b=1").is_err());
        assert_eq!(
            field_names("a,B_c").map(|it| it.concat()),
            Ok("AB_C".into())
        );
        assert!(field_names("a b").is_err());
    }

    #[test]
    fn the_field_of_the_request_id_has_no_other_meaning() {
        let field = |text| request_id_field(text).map(Option::unwrap_or_default);
        assert_eq!(field("on"), Ok("X-Request-ID".to_owned()));
        assert_eq!(field("off"), Ok(String::new()));
        assert_eq!(field("X-Correlation-Id"), Ok("X-Correlation-Id".to_owned()));
        for text in [
            "",
            "Content-Length",
            "host",
            "X_Request_Id",
            "X-Request-Id:",
            "a b",
        ] {
            assert!(field(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_words() {
        assert_eq!(root_path("/shop/"), Ok("/shop".to_owned()));
        for text in ["", " ", "None"] {
            assert_eq!(server_header(text), Ok(String::new()), "{text:?}");
        }
        assert_eq!(server_header(" a/1 (b) "), Ok("a/1 (b)".to_owned()));
        assert!(server_header("a\r\nb: c").is_err());
        assert!(root_path("shop").is_err());
        assert_eq!(health_path(""), Ok(None));
        assert_eq!(health_path("/-/up"), Ok(Some("/-/up".to_owned())));
        for bad in ["up", "/up?a", "/a b", "/a#b", "/\u{e4}"] {
            assert!(health_path(bad).is_err(), "{bad}");
        }
        assert_eq!(
            paste_assignment(r"a\=b=c\=d=e"),
            Ok(("a=b".into(), "c=d=e".into()))
        );
        assert!(paste_assignment("a").is_err() && paste_assignment("=a").is_err());
        assert_eq!(json_object("{ }"), Ok(None));
        assert!(json_object("[]").is_err());
        assert!(logger_class("my.Logger").is_ok() && logger_class("simple").is_ok());
        assert!(logger_class("Logger").is_err() && logger_class("my.Logger ()").is_err());
        assert_eq!(only("9", "h1", "use it"), Err("h1: use it".to_owned()));
    }
}
