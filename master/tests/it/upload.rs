//! Bodies: refused when too long, spooled when long, and never in memory whole.

use std::io;
use std::time::Duration;

use crate::harness::{Client, Server, eventually};

const MIB: usize = 1024 * 1024;
const GIB: u64 = 1 << 30;

/// Sends `length` bytes of body after a head that announces them, as far as the server takes them.
fn send_body(client: &mut Client, length: u64) -> io::Result<()> {
    let piece = vec![b'a'; MIB];
    let mut left = length;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(MIB).min(MIB);
        client.send(&piece[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let server = Server::new("413")
        .lab()
        .args(&["--limit-request-body", "1000000"])
        .start();
    let mut client = server.client();
    client
        .send(
            format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n").as_bytes(),
        )
        .expect("sent");
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 413);
    assert!(answer.closes());
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_on_the_way() {
    let server = Server::new("413 chunked")
        .lab()
        .args(&["--limit-request-body", "1000000"])
        .start();
    let mut client = server.client();
    client
        .send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("sent");
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b'a'; 0x10000]);
    chunk.extend(b"\r\n");
    for _ in 0..32 {
        // The server may have closed already: the answer is what counts.
        let _ = client.send(&chunk);
    }
    assert_eq!(client.answer().expect("an answer").status, 413);
}

#[test]
fn a_gigabyte_is_spooled_with_flat_memory() {
    let server = Server::new("upload").lab().start();
    let worker = server.children()[0];
    let before = worker.kib("VmHWM");
    let mut client = server.client();
    client.set_patience(Duration::from_secs(120));
    client
        .send(
            format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n").as_bytes(),
        )
        .expect("sent");
    send_body(&mut client, GIB).expect("all taken");
    let answer = client.answer().expect("an answer");
    assert_eq!(
        answer.text(),
        format!("file {GIB} {}", GIB * u64::from(b'a'))
    );
    let grown = worker.kib("VmHWM") - before;
    assert!(grown < 8 * 1024, "the worker grew by {grown} KiB");
}

#[test]
fn short_bodies_stay_in_memory_and_long_ones_do_not() {
    let server = Server::new("spool").lab().start();
    let mut client = server.client();
    for (length, place) in [
        (0, "memory"),
        (1, "memory"),
        (65_536, "memory"),
        (65_537, "file"),
        (MIB, "file"),
    ] {
        let answer = client
            .request("POST", "/upload", "", &vec![b'a'; length])
            .expect("an answer");
        let sum = length * usize::from(b'a');
        assert_eq!(answer.text(), format!("{place} {length} {sum}"));
    }
}

#[test]
fn an_upload_that_is_broken_off_leaves_nothing() {
    let server = Server::new("broken upload").lab().start();
    let worker = server.children()[0];
    let before = worker.descriptors();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.client();
            client
                .send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                .expect("sent");
            client.send(&vec![b'a'; 200_000]).expect("sent");
            client
        })
        .collect();
    eventually("each has a socket and a file", || {
        (worker.descriptors() >= before + 2 * clients.len()).then_some(())
    });
    drop(clients);
    eventually("sockets and files are closed", || {
        (worker.descriptors() <= before).then_some(())
    });
    assert_eq!(server.get("/").status, 200);
}
