//! Atoms and escapes, against what gunicorn writes for the same requests.

use super::*;
use crate::logging::access::format::AccessFormat;
use crate::request::Span;

mod object;

/// A head from its text, split the simple way.
fn head(text: &str) -> RequestHead {
    let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let end = |from: usize, byte| {
        bytes[from..]
            .iter()
            .position(|&b| b == byte)
            .expect("whole")
            + from
    };
    let span = |start: usize, end: usize| Span {
        start: start as u32,
        end: end as u32,
    };
    let method = end(0, b' ');
    let target = end(method + 1, b' ');
    let mut at = end(target, b'\n') + 1;
    let version = match &bytes[target + 1..at - 1] {
        b"HTTP/1.0" => Version::Http10,
        _ => Version::Http11,
    };
    let mut fields = Vec::new();
    while at < bytes.len() {
        let (colon, line) = (end(at, b':'), end(at, b'\n'));
        fields.push((span(at, colon), span(colon + 2, line)));
        at = line + 1;
    }
    RequestHead {
        method: span(0, method),
        target: span(method + 1, target),
        version,
        fields,
        bytes,
        id: "id-1".to_owned(),
    }
}

fn render(format: &str, text: &str) -> String {
    let format = AccessFormat::parse(format).expect("a format");
    render_with(&format, &head(text))
}

fn render_with(format: &AccessFormat, head: &RequestHead) -> String {
    let entry = AccessEntry {
        peer: &Peer::Tcp(([192, 0, 2, 17], 4711).into()),
        sender: &Peer::Tcp(([10, 0, 0, 1], 80).into()),
        scheme: Scheme::Https,
        variables: &[("remote_user".to_owned(), "a\"b".to_owned())],
        status: 201,
        fields: &[
            ("X-Out".into(), b"first".into()),
            ("x-out".into(), b"se\"cond".into()),
        ],
        body_bytes: 1234,
        duration: Duration::new(2, 3_004_999),
        queue: Duration::from_micros(1500),
        proxy_queue: Some(Duration::from_millis(7)),
        application: Duration::new(2, 0),
        pid: 99,
        ..bare(head)
    };
    let mut out = Vec::new();
    format.render(&mut out, &entry);
    let line = String::from_utf8(out).expect("UTF-8");
    line.strip_suffix('\n').expect("a whole line").to_owned()
}

/// A request of which no more is known than its head.
fn bare(head: &RequestHead) -> AccessEntry<'_> {
    AccessEntry {
        head,
        peer: &Peer::Unix,
        sender: &Peer::Unix,
        scheme: Scheme::Http,
        id_field: Some("X-Request-ID"),
        variables: &[],
        status: 200,
        fields: &[],
        body_bytes: 0,
        duration: Duration::ZERO,
        queue: Duration::ZERO,
        proxy_queue: None,
        application: Duration::ZERO,
        pid: 1,
    }
}

const PLAIN: &str = "GET /a%20b?x=1 HTTP/1.1\nHost: here\n";

#[test]
fn the_default_format_is_gunicorns() {
    let text = "GET /a HTTP/1.0\nUser-Agent: ab \"x\"\nReferer: http://r/\n";
    let format = r#"%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s""#;
    assert_eq!(
        render(format, text),
        r#"192.0.2.17 - - "GET /a HTTP/1.0" 201 1234 "http://r/" "ab \"x\"""#
    );
    assert_eq!(render(r#""%(f)s" "%(a)s""#, PLAIN), r#""-" "-""#);
}

#[test]
fn the_other_atoms_are_gunicorns() {
    assert_eq!(
        render("%(m)s %(U)s %(q)s %(H)s", PLAIN),
        "GET /a b x=1 HTTP/1.1"
    );
    assert_eq!(render("%(S)s %(B)s %(zz)s%%", PLAIN), "- 1234 -%");
    assert_eq!(
        render("%(T)s %(M)s %(D)s %(L)s %(p)s", PLAIN),
        "2 2003 2003004 2.003004 <99>"
    );
    let date = render("%(t)s", PLAIN);
    assert_eq!(date.len(), "[23/Nov/2026:10:00:00 +0000]".len(), "{date}");
}

#[test]
fn fields_of_request_and_response() {
    let text = "GET / HTTP/1.1\nX-In: one\nx-in: two\nHost: h\n";
    assert_eq!(
        render("%({X-In}i)s %({x-in}I)s %({none}i)s", text),
        "two two -"
    );
    assert_eq!(render("%({X-Out}o)s", text), r#"se\"cond"#);
    assert_eq!(
        render("%({HTTP_X_IN}e)s %({HTTP_HOST}e)s", text),
        "one,two h"
    );
}

#[test]
fn variables_of_the_environment() {
    let text = "POST /p%2f?q HTTP/1.1\nContent-Type: a/b\n";
    assert_eq!(
        render(
            "%({REQUEST_METHOD}e)s %({PATH_INFO}e)s %({RAW_URI}e)s %({CONTENT_TYPE}e)s",
            text
        ),
        "POST /p/ /p%2f?q a/b"
    );
    assert_eq!(
        render(
            "%({REMOTE_ADDR}e)s %({REMOTE_PORT}e)s [%({SCRIPT_NAME}e)s] %({nope}e)s",
            text
        ),
        "192.0.2.17 4711 [] -"
    );
    assert_eq!(render("%({wsgi.url_scheme}e)s", text), "https");
    assert_eq!(render("%({REMOTE_USER}e)s", text), r#"a\"b"#);
    let format = AccessFormat::parse("%({REMOTE_USER}e)s %({http_a}e)s %(a)s").expect("a format");
    assert!(format.variables().eq(["remote_user"]));
}

#[test]
fn no_client_ends_a_line() {
    let text = "GET /%0aGET%22%C3%A9 HTTP/1.1\nUser-Agent: a\tb\u{7}\u{e9}\n";
    assert_eq!(render("%(U)s", text), "/\\x0aGET\\\"\u{c3}\u{a9}");
    assert_eq!(render("%(a)s", text), "a\\x09b\\x07\u{e9}");
    assert_eq!(render("%(U)s", "GET /%zz%4 HTTP/1.1\n"), "/%zz%4");
}

/// Whatever a client says, wherever it says it.
#[test]
fn no_field_forges_a_line_or_commands_a_terminal() {
    let bytes: String = (1..=255_u8)
        .filter(|byte| !b"\n\r".contains(byte))
        .map(char::from)
        .collect();
    // U+202E and U+2028 in UTF-8, as credentials are.
    let user = "4oCu4oCoYQ==";
    let text = format!(
        "GET /%0A%0d%1b%9b%85%22%5c HTTP/1.1\nUser-Agent: {bytes}\nX: a\nX: {bytes}\nReferer: \\\n\
         Authorization: Basic {user}\n"
    );
    let atoms = [
        "%(r)s",
        "%(U)s",
        "%(q)s",
        "%(u)s",
        "%(a)s",
        "%(f)s",
        "%({x}i)s",
        "%({http_x}e)s",
        "%({user-agent}i)s",
        "%({path_info}e)s",
        "%({raw_uri}e)s",
        "%({remote_user}e)s",
        "%({x-out}o)s",
    ];
    for atom in atoms {
        let line = render(&format!("<{atom}> \"{atom}\""), &text);
        let is_unsafe = |c: char| c.is_control() || "\u{2028}\u{2029}\u{202e}".contains(c);
        assert!(!line.contains(is_unsafe), "{atom}: {line:?}");
        let unescaped = line.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(unescaped.matches('"').count(), 2, "{atom}: {line:?}");
        assert!(unescaped.ends_with('"'), "{atom}: {line:?}");
        for json in [
            format!(r#"{{"said": "%(h)s {atom}", "s": %(s)s}}"#),
            format!(r#"{{"said": {atom}, "L": %(L)s}}"#),
            format!(r#"{{"all": ["{atom}", %(T)03d, "%(h)s"]}}"#),
        ] {
            let line = render(&json, &text);
            assert!(!line.contains(is_unsafe), "{json}: {line:?}");
            let parsed = serde_json::from_str::<serde_json::Value>(&line);
            assert!(parsed.is_ok(), "{json}: {line:?}");
        }
    }
}

#[test]
fn json_says_what_was_said() {
    let text = "GET /a?b=\"c HTTP/1.1\nUser-Agent: \\ \u{85}\t\u{e9}\n";
    let line = render(r#"{"r":"%(r)s","a":%(a)s,"s":%(s)s,"cut":"%(a).3s"}"#, text);
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        said,
        serde_json::json!({"r": "GET /a?b=\"c HTTP/1.1", "a": "\\ \u{85}\t\u{e9}", "s": 201, "cut": "\\ \u{85}"})
    );
}

#[test]
fn a_cut_leaves_no_half_of_an_escape() {
    let text = "GET / HTTP/1.1\nUser-Agent: ab\\\"\u{9b}\n";
    for most in 0..8 {
        let line = render(&format!("\"%(a).{most}s\""), text);
        let end = ["", "a", "ab", "ab\\\\", "ab\\\\\\\"", "ab\\\\\\\"\\x9b"][most.min(5)];
        assert_eq!(line, format!("\"{end}\""));
    }
}

/// What a logger gets, atom by atom.
#[test]
fn atoms_are_escaped_for_their_format() {
    let head = head("GET / HTTP/1.1\nX: a\nX: \\\u{9b}\"\nUser-Agent: abcd\n");
    let entry = AccessEntry {
        variables: &[("user".to_owned(), "\u{2028}".to_owned())],
        fields: &[("X-Out".into(), b"\x85".into())],
        ..bare(&head)
    };
    let atoms = |format: &str| {
        let format = AccessFormat::parse(format).expect("a format");
        let mut all = std::collections::HashMap::new();
        entry.atoms(&format, |name, value| {
            all.insert(name.to_owned(), value);
        });
        move |name: &str| match all.get(name) {
            Some(super::super::AtomValue::Text(text)) => text.clone(),
            other => panic!("{name}: {other:?}"),
        }
    };
    let line = atoms("%(a).2s");
    assert_eq!(line("{x}i"), "\\\\\\x9b\\\"");
    assert_eq!(line("{http_x}e"), "a,\\\\\\x9b\\\"");
    assert_eq!(
        (line("{user}e"), line("{x-out}o")),
        ("\\u2028".to_owned(), "\\x85".to_owned())
    );
    assert_eq!(
        (line("a"), line("a.2")),
        ("abcd".to_owned(), "ab".to_owned())
    );
    let json = atoms(r#"{"x":%({x}i)s}"#);
    assert_eq!(json("{x}i"), "\\\\\\u009b\\\"");
}

#[test]
fn the_user_of_basic_authorization() {
    for (value, user) in [
        ("Basic bWU6c2VjcmV0", "me"),
        ("basic  bWU=", "me"),
        ("BASIC asOkOng=", "j\u{e4}"),
        ("Basic IjoK", "\\\""),
        ("Basic bWU6c2Vjcm", "-"),
        ("Basic", "-"),
        ("Basic Onh4", "-"),
        ("Basic /w==", "-"),
        ("Bearer bWU6c2VjcmV0", "-"),
    ] {
        let text = format!("GET / HTTP/1.1\nAuthorization: {value}\n");
        assert_eq!(render("%(u)s", &text), user, "{value}");
    }
}

#[test]
fn peers_without_tcp_and_with_version_six() {
    let head = head(PLAIN);
    let line = |peer: Peer| {
        let entry = AccessEntry {
            peer: &peer,
            ..bare(&head)
        };
        let mut out = Vec::new();
        let format = AccessFormat::parse("[%(h)s] %({remote_port}e)s").expect("a format");
        format.render(&mut out, &entry);
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(line(Peer::Unix), "[] -\n");
    let six = "[::ffff:127.0.0.1]:80".parse().expect("an address");
    assert_eq!(line(Peer::Tcp(six)), "[::ffff:127.0.0.1] 80\n");
}

#[test]
fn of_a_request_that_cannot_be_read_there_is_its_line() {
    let line = |bytes: &[u8], method| {
        let head = RequestHead {
            bytes: bytes.to_vec(),
            method: Span {
                start: 0,
                end: method,
            },
            ..RequestHead::default()
        };
        let entry = AccessEntry {
            status: 400,
            ..bare(&head)
        };
        let mut out = Vec::new();
        let format = AccessFormat::parse("%(r)s|%(m)s|%(U)s|%(H)s|%(s)s").expect("a format");
        format.render(&mut out, &entry);
        String::from_utf8(out).expect("UTF-8")
    };
    let expected = "GET / HTTP/3.7|GET|-|-|400\n";
    assert_eq!(line(b"GET / HTTP/3.7", 3), expected);
    assert_eq!(line(b"\x16\x03\xe9", 3), "\\x16\\x03\u{e9}|-|-|-|400\n");
    assert_eq!(line(b"", 0), "-|-|-|-|400\n");
}

#[test]
fn padding_and_cutting() {
    assert_eq!(
        render("[%(s)5s] [%(s)-5s] [%(s).2s] [%(T)03d]", PLAIN),
        "[  201] [201  ] [20] [002]"
    );
    let text = "GET / HTTP/1.1\nUser-Agent: \u{e9}\u{e8}x\n";
    assert_eq!(render("[%(a)5.2s]", text), "[   \u{e9}\u{e8}]");
}

#[test]
fn what_gunicorn_has_no_atom_for() {
    let text =
        "GET / HTTP/1.1\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n";
    assert_eq!(
        render(
            "%({proxy_queue}x)s %({queue}x)s %({application}x)s %({send}x)s %({request_id}x)s",
            text
        ),
        "0.007000 0.001500 2.000000 0.003004 id-1"
    );
    assert_eq!(
        render(
            "%({trace_id}x)s %({SPAN_ID}x)s %({nonsense}x)s %({object}x)s",
            text
        ),
        "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 - -"
    );
    assert_eq!(render("%({trace_id}x)s%({span_id}x)s", PLAIN), "--");
    assert_eq!(render("%({x-request-id}o)s", PLAIN), "id-1");
    assert_eq!(
        render(r#"{"queue": %({queue}x)s, "id": %({request_id}x)s}"#, PLAIN),
        r#"{"queue": 0.001500, "id": "id-1"}"#
    );
    let time = render("%({timestamp}x)s", PLAIN);
    assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
}
