//! Static files: what a client gets, and that nobody waits for anybody because of them.

mod conditions;
mod faults;
mod filtered;
mod serving;

use std::fs;
use std::path::Path;

use crate::harness::{Answer, Builder, Client, Server};

const LARGE: usize = 3_000_000;

/// Octets of which each place is different from its neighbours.
fn pattern(length: usize) -> Vec<u8> {
    let octet = |at: usize| u8::try_from((at * 31 + at / 251) % 251).unwrap_or(0);
    (0..length).map(octet).collect()
}

fn write(directory: &Path, name: &str, content: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(path, content).expect("a file");
}

/// A server of the lab with the directory `files` at `/static`.
fn site(name: &str) -> Builder {
    let builder = Server::new(name).lab();
    let files = builder.dir().join("files");
    write(&files, "small.txt", b"small\n");
    write(&files, "large.bin", &pattern(LARGE));
    write(&files, "dir/index.html", b"<p>index\n");
    write(&files, "style.css", b"body {}\n");
    write(&files, "style.css.gz", b"gzipped");
    write(&files, ".env", b"secret");
    write(builder.dir(), "outside.txt", b"secret");
    builder.args(&["--static-map", "/static=files"])
}

/// A request with more fields, each with its line end.
fn ask(client: &mut Client, method: &str, target: &str, fields: &str) -> Answer {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    client.send(request.as_bytes()).expect("sent");
    client
        .answer_to(method)
        .unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}
