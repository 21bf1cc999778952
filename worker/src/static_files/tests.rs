//! Paths and the files that answer, without a server. `testing` has the tree of files.

mod answers;

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use oxicorn_common::Settings;
use oxicorn_common::response::{Response, ResponseBody};
use oxicorn_common::settings::{SETTINGS, Setting};

use super::testing::{BAD, Dice, GOOD, INSIDE, Tree, request};
use super::*;

/// The server's part, with one mapping.
struct Site {
    tree: Tree,
    files: StaticFiles,
    now: Instant,
}

fn set(settings: &mut Settings, name: &str, value: &str) {
    let row = SETTINGS.iter().find(|row| row.name == name);
    let row: &Setting = row.expect("a setting");
    (row.apply)(settings, value).expect(value);
}

fn site(values: &[(&str, &str)]) -> Site {
    let tree = Tree::new();
    let mut settings = Settings::default();
    let root = tree.root().display().to_string();
    for (name, value) in values {
        set(&mut settings, name, &value.replace("ROOT", &root));
    }
    let files = StaticFiles::new(&settings).expect("a mapping");
    Site {
        tree,
        files,
        now: Instant::now(),
    }
}

fn mapped() -> Site {
    site(&[("static_map", "/static=ROOT")])
}

impl Site {
    fn ask(&mut self, target: &str, fields: &[(&str, &str)]) -> FileAnswer {
        self.ask_by("GET", target, fields)
    }

    fn ask_by(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> FileAnswer {
        let head = request(method, target, fields);
        self.files.answer(&head, false, self.now)
    }

    /// The tag of a file, once it is so old that its tag is strong.
    fn tag(&mut self, target: &str) -> String {
        loop {
            let answer = self.ask(target, &[]);
            let tag = field(&answer.response, "ETag").expect("a tag");
            if tag.starts_with('"') {
                return tag.to_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn status(&mut self, target: &str) -> u16 {
        self.ask(target, &[]).response.status.as_u16()
    }

    fn get(&mut self, target: &str) -> (u16, String) {
        let answer = self.ask(target, &[]);
        (answer.response.status.as_u16(), body(&answer))
    }
}

fn body(answer: &FileAnswer) -> String {
    let mut octets = Vec::new();
    match (&answer.response.body, &answer.content) {
        (ResponseBody::Bytes(bytes), None) => octets.clone_from(bytes),
        (_, Some(content)) => {
            for part in &content.parts {
                octets.extend_from_slice(&part.before);
                let mut range = vec![0; usize::try_from(part.length).expect("short")];
                content
                    .file
                    .read_exact_at(&mut range, part.offset)
                    .expect("all of it");
                octets.extend_from_slice(&range);
            }
        }
        _ => {}
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn field<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let found = response.fields.iter().find(|(it, _)| it == name);
    found.map(|(_, value)| std::str::from_utf8(value).expect("a text"))
}

#[test]
fn files_and_nothing_else() {
    let mut site = mapped();
    for name in GOOD {
        assert_eq!(
            site.get(&format!("/static/{name}")),
            (200, INSIDE.to_owned()),
            "{name}"
        );
    }
    for name in BAD {
        assert_eq!(site.status(&format!("/static/{name}")), 404, "{name}");
    }
    for name in [
        ".env",
        ".hidden/a.txt",
        "..a",
        "empty",
        "empty/",
        "",
        "dir",
        "dir/",
        "%2e%2e/outside/a.txt",
    ] {
        assert_eq!(site.status(&format!("/static/{name}")), 404, "{name}");
    }
    assert!(!site.tree.was_left());
}

/// The promise of this folder: whatever a client sends, no file outside the directory is opened.
#[test]
fn no_path_leads_out() {
    let mut site = mapped();
    let parts: Vec<&str> = GOOD
        .iter()
        .chain(&BAD)
        .copied()
        .chain([
            "..",
            "../..",
            ".",
            "",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "%252e%252e",
            "..%2f",
            "..%5c",
            "..\\",
        ])
        .chain([
            "%c0%ae%c0%ae",
            "%00",
            "a.txt%00.css",
            "%2f",
            "%2fetc%2fpasswd",
            "etc/passwd",
            "outside",
        ])
        .chain([
            "outside/a.txt",
            "out-dir",
            "parent",
            "slash",
            ".env",
            ".hidden",
            "a.txt;",
            "a.txt.",
            "~",
            "*",
        ])
        .chain([
            "dir",
            "deep",
            "root",
            "way",
            "%ff",
            "%",
            "%%32%65",
            "a%20b",
            "\\",
            "//",
            "..;",
            "..a",
            ".well-known",
        ])
        .collect();
    let outside = site.tree.outside().display().to_string();
    let mut dice = Dice(11);
    let mut found = 0;
    for round in 0..10_000 {
        let names = (0..=dice.throw(6)).map(|_| dice.choose(&parts));
        let mut path = names.collect::<Vec<_>>().join("/");
        if round % 50 == 0 {
            path = format!("{path}{outside}/a.txt");
        }
        if round % 97 == 0 {
            path = format!("{}/{path}", "a".repeat(dice.throw(5000)));
        }
        let answer = site.ask(
            &format!("/static/{path}"),
            &[("Accept-Encoding", "gzip, br")],
        );
        let status = answer.response.status.as_u16();
        assert!([200, 404].contains(&status), "{status}: {path}");
        if status == 200 {
            found += 1;
            assert_eq!(body(&answer), INSIDE, "{path}");
        }
        assert!(!site.tree.was_left(), "{path}");
    }
    assert!(found > 100, "only {found} paths name a file");
}

#[test]
fn the_longest_prefix_counts() {
    let mut site = site(&[
        ("static_map", "/=ROOT"),
        ("static_map", "/d=ROOT/dir"),
        ("static_map", "/icon=ROOT/a.txt"),
    ]);
    assert_eq!(site.get("/a.txt").0, 200);
    assert_eq!(site.get("/d/b.txt").0, 200);
    assert_eq!(site.get("/d/a.txt").0, 404);
    assert_eq!(site.get("/dir/b.txt").0, 200);
    assert_eq!(site.get("/icon").0, 200);
    assert_eq!(site.get("/icon/").0, 404);
    assert_eq!(site.get("/icon/a.txt").0, 404);
    let answer = site.ask("/icon", &[]);
    assert_eq!(
        field(&answer.response, "Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    site.tree
        .write(".well-known/security.txt", INSIDE.as_bytes());
    assert_eq!(site.get("/.well-known/security.txt").0, 200);
    let covers = |target: &str| site.files.covers(&request("GET", target, &[]), false);
    assert!(covers("/x") && covers("http://host/x") && !covers("*"));
}

#[test]
fn a_mapping_is_for_the_path_below_the_mount_point_too() {
    let mut site = site(&[("static_map", "/static=ROOT"), ("root_path", "/shop/")]);
    assert_eq!(site.get("/shop/static/a.txt").0, 200);
    assert_eq!(site.get("/static/a.txt").0, 200);
    let script = [("SCRIPT_NAME", "/other")];
    let head = request("GET", "/other/static/a.txt", &script);
    assert!(site.files.covers(&head, true) && !site.files.covers(&head, false));
    assert!(
        !site
            .files
            .covers(&request("GET", "/shopstatic/a.txt", &[]), false)
    );
}

#[test]
fn a_directory_has_an_index() {
    let mut site = mapped();
    site.tree.write("dir/index.html", b"<p>index");
    site.tree.write("index.html", b"<p>top");
    let answer = site.ask("/static/dir/", &[]);
    assert_eq!(body(&answer), "<p>index");
    assert_eq!(
        field(&answer.response, "Content-Type"),
        Some("text/html; charset=utf-8")
    );
    for (target, location) in [
        ("/static", "./static/"),
        ("/static/dir", "./dir/"),
        ("/static/dir?a=b&c=//d", "./dir/?a=b&c=//d"),
        ("//static/dir", ""),
        ("/static//dir", "./dir/"),
    ] {
        let head = request("GET", target, &[]);
        if location.is_empty() {
            assert!(!site.files.covers(&head, false), "{target}");
            continue;
        }
        let answer = site.ask(target, &[]);
        assert_eq!(
            answer.response.status,
            StatusCode::MOVED_PERMANENTLY,
            "{target}"
        );
        assert_eq!(
            field(&answer.response, "Location"),
            Some(location),
            "{target}"
        );
    }
}

#[test]
fn a_redirect_stays_on_this_host() {
    let mut site = site(&[("static_map", "/=ROOT")]);
    site.tree.write("evil.example/index.html", b"x");
    site.tree.write("http:/index.html", b"x");
    for target in [
        "//evil.example",
        "///evil.example",
        "/http:",
        "/%65vil.example",
        "/dir/deep/root/evil.example",
    ] {
        let answer = site.ask(target, &[]);
        assert_eq!(
            answer.response.status,
            StatusCode::MOVED_PERMANENTLY,
            "{target}"
        );
        let location = field(&answer.response, "Location").expect("a location");
        assert!(
            location.starts_with("./") && !location.contains("//"),
            "{location}"
        );
    }
}

#[test]
fn only_get_and_head() {
    let mut site = mapped();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = site.ask_by(method, "/static/a.txt", &[]);
        assert_eq!(answer.response.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(field(&answer.response, "Allow"), Some("GET, HEAD"));
    }
    let answer = site.ask_by("HEAD", "/static/a.txt", &[("Range", "bytes=0-1")]);
    assert_eq!(
        answer.response.status,
        StatusCode::OK,
        "RFC 9110 section 14.2"
    );
}

#[test]
fn another_directory_may_take_the_place() {
    let mut site = mapped();
    assert_eq!(site.status("/static/a.txt"), 200);
    let root = site.tree.root();
    fs::rename(&root, root.with_extension("old")).expect("renamed");
    fs::create_dir(&root).expect("a directory");
    fs::write(root.join("new.txt"), "new").expect("a file");
    // What the old one does not have is looked up in the new one at once, and everything a second later.
    assert_eq!(site.get("/static/new.txt"), (200, "new".to_owned()));
    assert_eq!(site.status("/static/a.txt"), 404);
    fs::remove_dir_all(&root).expect("removed");
    site.now += Duration::from_secs(2);
    assert_eq!(site.status("/static/new.txt"), 404);
    fs::rename(root.with_extension("old"), &root).expect("renamed");
    assert_eq!(site.get("/static/a.txt"), (200, INSIDE.to_owned()));
}
