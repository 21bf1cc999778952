//! Bodies: refused when too long, spooled when long, and never in memory whole.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Client, Server, eventually};

const MIB: usize = 1024 * 1024;
const GIB: u64 = 1 << 30;

/// Sends a head and `length` bytes of body, as many as the server accepts.
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
        // The server may have closed already: only the answer counts.
        let _ = client.send(&chunk);
    }
    assert_eq!(client.answer().expect("an answer").status, 413);
}

#[test]
fn a_gigabyte_is_spooled_with_flat_memory() {
    // The application may take long for so many octets.
    let builder = Server::new("upload").lab().args(&["--timeout", "0"]);
    let server = builder.start();
    let worker = server.children()[0];
    let before = worker.kib("VmHWM");
    let mut client = server.client();
    client.set_timeout(Duration::from_secs(600));
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
        (100_000, "memory"),
        (MIB, "memory"),
        (MIB + 1, "file"),
        (2 * MIB, "file"),
    ] {
        let answer = client
            .request("POST", "/upload", "", &vec![b'a'; length])
            .expect("an answer");
        let sum = length * usize::from(b'a');
        assert_eq!(answer.text(), format!("{place} {length} {sum}"));
    }
}

/// A client that has sent a body except for its last octet.
fn begun(server: &Server, length: usize) -> Client {
    let mut client = server.client();
    let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.send(head.as_bytes()).expect("sent");
    client.send(&vec![b'a'; length - 1]).expect("sent");
    client
}

#[test]
fn all_bodies_together_keep_to_the_memory_for_them() {
    let server = Server::new("body_buffer_total")
        .lab()
        .args(&["--body-buffer-size", "200000"])
        .args(&["--body-buffer-total", "600000"])
        .start();
    let worker = server.children()[0];
    let before = worker.descriptors();
    let mut clients: Vec<_> = (0..6).map(|_| begun(&server, 150_000)).collect();
    eventually("three of six have found no room in memory", || {
        (worker.descriptors() == before + 6 + 3).then_some(())
    });
    let mut places = Vec::new();
    for client in &mut clients {
        client.send(b"a").expect("sent");
        let text = client.answer().expect("an answer").text();
        places.push(text.split(' ').next().unwrap_or_default().to_owned());
        assert!(
            text.ends_with(&format!(" 150000 {}", 150_000 * 97)),
            "{text}"
        );
    }
    places.sort();
    assert_eq!(
        places,
        ["file", "file", "file", "memory", "memory", "memory"]
    );
    let answer = clients[0].request("POST", "/upload", "", &[b'a'; 150_000]);
    assert!(answer.expect("an answer").text().starts_with("memory "));
}

#[test]
fn a_length_that_no_memory_has_goes_to_a_file_and_ends_no_worker() {
    let most = usize::MAX.to_string();
    let server = Server::new("length")
        .lab()
        .args(&["--body-buffer-size", &most, "--body-buffer-total", &most])
        .start();
    let worker = server.children()[0];
    let mut clients = Vec::new();
    for length in [1 << 50, 1 << 63, u64::MAX] {
        let mut client = server.client();
        let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.as_bytes()).expect("sent");
        client.send(&[b'a'; 10]).expect("sent");
        clients.push(client);
    }
    let mut client = begun(&server, 1);
    client.send(b"a").expect("sent");
    assert_eq!(client.answer().expect("an answer").text(), "memory 1 97");
    assert_eq!(server.children(), [worker], "the same one");
}

#[test]
fn what_follows_a_body_is_the_next_request_wherever_it_is_kept() {
    let server = Server::new("pipelined uploads").lab().start();
    let mut client = server.client();
    for length in [100_000, 3 * MIB] {
        let mut bytes = Vec::new();
        for method in ["POST", "GET", "POST"] {
            let length = if method == "GET" { 0 } else { length };
            let head =
                format!("{method} /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            bytes.resize(bytes.len() + length, b'a');
        }
        client.send(&bytes).expect("sent");
        let place = if length > MIB { "file" } else { "memory" };
        for (place, length) in [(place, length), ("memory", 0), (place, length)] {
            let text = client.answer().expect("an answer").text();
            assert_eq!(text, format!("{place} {length} {}", length * 97));
        }
    }
}

#[test]
fn more_bodies_than_the_memory_takes_wait_while_others_are_served() {
    let server = Server::new("bodies in turn").lab().start();
    let [worker] = server.children()[..] else {
        panic!("one worker");
    };
    let before = worker.kib("VmHWM");
    let uploads: Vec<_> = (0..40)
        .map(|_| {
            let mut client = server.client();
            // Each one waits for all the others.
            client.set_timeout(Duration::from_secs(600));
            std::thread::spawn(move || {
                let body = vec![b'a'; MIB];
                for _ in 0..10 {
                    let answer = client.request("POST", "/upload", "", &body);
                    let text = answer.expect("an answer").text();
                    assert!(text.ends_with(&format!(" {MIB} {}", MIB * 97)), "{text}");
                }
            })
        })
        .collect();
    for upload in uploads {
        upload.join().expect("all answered");
    }
    let grown = worker.kib("VmHWM") - before;
    assert!(
        grown < 40 * 1024,
        "it has grown by {grown} KiB, from {before}"
    );
}

/// More bodies than are read ahead: those that stay in their sockets are read in the order in which they came,
/// so that no client gets more answers than another.
#[test]
fn bodies_that_wait_for_memory_have_it_in_the_order_in_which_they_came() {
    const CLIENTS: usize = 64;
    const BODY: usize = 100_000;
    const ROUNDS: usize = 100;
    let server = Server::new("upload order").lab().threads(1).start();
    let answers: Vec<AtomicUsize> = (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect();
    let count = || answers.iter().map(|it| it.load(Ordering::SeqCst));
    thread::scope(|scope| {
        for answered in &answers {
            let mut client = server.client();
            scope.spawn(move || {
                while count().sum::<usize>() < CLIENTS * ROUNDS {
                    let answer = client.request("POST", "/pid", "", &[b'a'; BODY]);
                    assert_eq!(answer.expect("an answer").status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let mut answers: Vec<usize> = count().collect();
    answers.sort_unstable();
    // A busy machine may hold up a few clients, or what the kernel has for them.
    assert!(
        answers[CLIENTS / 16] * 10 >= ROUNDS * 7,
        "answers to each client: {answers:?}"
    );
}

#[test]
fn where_no_file_can_be_made_bodies_stay_in_memory() {
    let mut server = Server::new("no file")
        .lab()
        // A directory in which not even root can make a file.
        .args(&["--tmp-upload-dir", "/proc"])
        .args(&["--body-buffer-size", "1000"])
        .args(&["--body-buffer-total", "300000"])
        .start();
    let told = server
        .log()
        .wait_for("no temporary file can be made in /proc");
    for part in ["tmp_upload_dir", "os error", "body_buffer_size"] {
        assert!(told.contains(part), "{told}");
    }
    let mut client = server.client();
    let answer = client.request("POST", "/upload", "", &[b'a'; 200_000]);
    let text = answer.expect("an answer").text();
    assert_eq!(text, format!("memory 200000 {}", 200_000 * 97));
    let _ = client.request("POST", "/upload", "", &[b'a'; 400_000]);
    server.tolerate("Request from");
    let told = server.log().wait_for("Request from 127.0.0.1");
    for part in [
        "ERROR",
        "/proc (tmp_upload_dir)",
        "os error",
        "body_buffer_total = 300000",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(
        server
            .log()
            .count("no temporary file can be made in /proc (tmp_upload_dir): "),
        2
    );
}

#[test]
fn a_directory_that_goes_is_named_with_the_reason() {
    let mut server = Server::new("lost directory").lab();
    let directory = server.dir().join("spool");
    std::fs::create_dir(&directory).expect("a directory");
    server = server
        .args(&["--tmp-upload-dir", "spool"])
        .args(&["--body-buffer-size", "1000"])
        .args(&["--body-buffer-total", "100000"]);
    let mut server = server.start();
    let upload = |length: usize| {
        let mut client = server.client();
        let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.as_bytes()).expect("sent");
        client.send(&[b'a'; 2000]).expect("sent");
        client
    };
    let answer = server
        .client()
        .request("POST", "/upload", "", &[b'a'; 200_000]);
    assert!(answer.expect("an answer").text().starts_with("file "));
    std::fs::remove_dir(&directory).expect("removed");
    let answer = upload(200_000).answer().expect("an answer");
    assert_eq!((answer.status, answer.closes()), (500, true));
    server.tolerate("Request from");
    let told = server.log().wait_for("Request from");
    assert!(told.contains("No such file or directory"), "{told}");
    assert!(told.contains(&*directory.to_string_lossy()), "{told}");
}

#[test]
fn a_file_that_cannot_grow_is_named_with_the_reason() {
    // In place of a full disk: no file may be longer than 256 KiB.
    let limited = "trap '' XFSZ; ulimit -f 256; exec \"$@\"";
    let mut server = Server::new("full")
        .lab()
        .under(&["bash", "-c", limited, "bash"])
        .start();
    let mut client = server.client();
    client
        .send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        .expect("sent");
    // The body may be refused before all of it is sent.
    let _ = send_body(&mut client, 5_000_000);
    server.tolerate("Request from");
    let told = server.log().wait_for("Request from");
    assert!(told.contains("File too large (os error 27)"), "{told}");
    assert!(told.contains("tmp_upload_dir"), "{told}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_upload_that_is_broken_off_leaves_nothing() {
    let server = Server::new("broken upload")
        .lab()
        .args(&["--body-buffer-size", "65536"])
        .start();
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
