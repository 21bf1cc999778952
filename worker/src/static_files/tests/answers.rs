//! What a response says of its file: variants, ranges, conditions.

use std::fs;
use std::os::unix::fs::symlink;

use oxicorn_common::response::ResponseBody;

use super::*;

#[test]
fn variants_are_chosen_by_the_client() {
    let mut site = mapped();
    for (name, content) in [
        ("v.css", "plain"),
        ("v.css.gz", "gzip"),
        ("v.css.br", "br"),
        ("v.css.zst", "zstd"),
    ] {
        site.tree.write(name, content.as_bytes());
    }
    let mut tags = Vec::new();
    for (accepted, wanted) in [
        ("gzip, br, zstd", "br"),
        ("gzip", "gzip"),
        ("zstd;q=0.5", "zstd"),
        ("deflate", "plain"),
        ("br;q=0", "plain"),
    ] {
        let answer = site.ask("/static/v.css", &[("Accept-Encoding", accepted)]);
        assert_eq!(body(&answer), wanted, "{accepted}");
        let coding = field(&answer.response, "Content-Encoding").unwrap_or("plain");
        assert_eq!(coding, wanted, "{accepted}");
        assert_eq!(
            field(&answer.response, "Content-Type"),
            Some("text/css; charset=utf-8")
        );
        assert_eq!(field(&answer.response, "Vary"), Some("Accept-Encoding"));
        let tag = field(&answer.response, "ETag").expect("a tag").to_owned();
        assert!(wanted == "plain" || !tags.contains(&tag), "{tag}");
        tags.push(tag);
    }
    // It is the file that has to be there.
    fs::remove_file(site.tree.root().join("v.css")).expect("a file");
    assert_eq!(
        site.ask("/static/v.css", &[("Accept-Encoding", "br")])
            .response
            .status,
        404
    );
    assert_eq!(site.get("/static/v.css.br"), (200, "br".to_owned()));
    // A picture is small already.
    site.tree.write("p.png", b"png");
    site.tree.write("p.png.gz", b"gz");
    let answer = site.ask("/static/p.png", &[("Accept-Encoding", "gzip")]);
    assert_eq!(
        (body(&answer).as_str(), field(&answer.response, "Vary")),
        ("png", None)
    );
    // A variant is a file like others.
    site.tree.write("l.css", b"plain");
    symlink("../outside/a.txt", site.tree.root().join("l.css.gz")).expect("a link");
    let answer = site.ask("/static/l.css", &[("Accept-Encoding", "gzip")]);
    assert_eq!(body(&answer), "plain");
    assert!(!site.tree.was_left());
}

#[test]
fn ranges_of_a_file() {
    let mut site = mapped();
    let content: String = (0..4000).map(|number| format!("{number:05}")).collect();
    site.tree.write("n.txt", content.as_bytes());
    let answer = site.ask("/static/n.txt", &[("Range", "bytes=5-9")]);
    assert_eq!(answer.response.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(body(&answer), "00001");
    assert_eq!(
        field(&answer.response, "Content-Range"),
        Some("bytes 5-9/20000")
    );
    let answer = site.ask("/static/n.txt", &[("Range", "bytes=20000-")]);
    assert_eq!(answer.response.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        field(&answer.response, "Content-Range"),
        Some("bytes */20000")
    );
    let answer = site.ask("/static/n.txt", &[("Range", "bytes=0-4,-5,10000-19000")]);
    let kind = field(&answer.response, "Content-Type").expect("a type");
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");
    let part = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/20000\r\n\r\n{text}"
        )
    };
    let wanted = part("0-4", "00000")
        + &part("19995-19999", "03999")
        + &part("10000-19000", &content[10000..=19000]);
    let text = body(&answer);
    assert_eq!(text, format!("{wanted}\r\n--{boundary}--\r\n"));
    match answer.response.body {
        ResponseBody::Stream(stream) => assert_eq!(stream.length, Some(text.len() as u64)),
        other => panic!("{other:?}"),
    }
    let tag = site.tag("/static/n.txt");
    for (guard, status) in [(tag.as_str(), 206), ("\"other\"", 200)] {
        let answer = site.ask(
            "/static/n.txt",
            &[("Range", "bytes=0-1"), ("If-Range", guard)],
        );
        assert_eq!(answer.response.status.as_u16(), status, "{guard}");
    }
    let answer = site.ask(
        "/static/n.txt",
        &[("Range", "bytes=0-1"), ("If-None-Match", &tag)],
    );
    assert_eq!(
        answer.response.status,
        StatusCode::NOT_MODIFIED,
        "it comes first"
    );
}

#[test]
fn a_304_says_what_a_cache_needs() {
    let mut site = site(&[
        ("static_map", "/static=ROOT"),
        ("static_cache_control", "*.txt=public, max-age=60"),
        ("static_cache_control", "/static/dir/*=no-cache"),
    ]);
    let tag = site.tag("/static/a.txt");
    let answer = site.ask("/static/a.txt", &[]);
    assert_eq!(
        field(&answer.response, "Cache-Control"),
        Some("public, max-age=60")
    );
    let again = site.ask("/static/a.txt", &[("If-None-Match", &tag)]);
    assert_eq!(again.response.status, StatusCode::NOT_MODIFIED);
    for name in ["ETag", "Last-Modified", "Vary", "Cache-Control"] {
        assert_eq!(
            field(&again.response, name),
            field(&answer.response, name),
            "{name}"
        );
    }
    for name in ["Content-Type", "Accept-Ranges", "Content-Range"] {
        assert_eq!(field(&again.response, name), None, "{name}");
    }
    assert_eq!(body(&again), "");
    let failed = site.ask("/static/a.txt", &[("If-Match", "\"other\"")]);
    assert_eq!(failed.response.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(field(&failed.response, "Cache-Control"), None);
    assert_eq!(
        field(&site.ask("/static/none.txt", &[]).response, "Cache-Control"),
        None
    );
}

/// Two changes within one tick of the file system's clock, the first of them served between.
#[test]
fn no_change_is_missed_however_fast_it_comes() {
    let mut site = mapped();
    for round in 0..200 {
        let (first, second) = (format!("a{round:04}"), format!("b{round:04}"));
        site.tree.write("fast.txt", first.as_bytes());
        let answer = site.ask("/static/fast.txt", &[]);
        assert_eq!(body(&answer), first);
        let tag = field(&answer.response, "ETag").expect("a tag").to_owned();
        site.tree.write("fast.txt", second.as_bytes());
        let again = site.ask("/static/fast.txt", &[("If-None-Match", &tag)]);
        assert_eq!(
            (again.response.status.as_u16(), body(&again)),
            (200, second)
        );
    }
}
