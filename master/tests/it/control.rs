//! The control socket: gunicorn's protocol, and clients that mean harm or nothing at all.

mod commands;
mod places;

use std::io::ErrorKind;

use crate::harness::{BootGate, Controller, Server, eventually};

/// As many as the server serves at a time.
const MOST_CLIENTS: usize = 64;

#[test]
fn children_inherit_nothing_of_it() {
    for preload in [false, true] {
        let server = Server::new("inherited").lab().workers(2);
        let server = match preload {
            true => server.arg("--preload").start_with_unknown_workers(),
            false => server.start(),
        };
        let mut before = Controller::of(&server);
        before.call("help").expect("served");
        // With a mold there is one more.
        let count = 2 + usize::from(preload);
        server.wait_for_children(count);
        // These are forked while a client is connected.
        before.call("worker add 2").expect("obeyed");
        let children = server.wait_for_children(count + 2);
        let of_master = server.master().open_files();
        let inodes = sockets_at(&server, ".gunicorn/gunicorn.ctl");
        assert_eq!(inodes.len(), 2, "the listener and one client: {inodes:?}");
        for inode in &inodes {
            let name = format!("socket:[{inode}] rw");
            assert!(of_master.contains(&name), "{name} in {of_master:?}");
            for child in &children {
                eventually(&format!("{name} is not in {child:?}"), || {
                    (!child.open_files().contains(&name)).then_some(())
                });
            }
        }
    }
}

/// The inodes of the server's own sockets that are bound to this path (proc_net(5)).
fn sockets_at(server: &Server, path: &str) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/unix").expect("proc is mounted");
    let path = server.dir().join(path).display().to_string();
    let lines = table.lines().filter(|line| line.ends_with(&path));
    let inodes = lines.filter_map(|line| line.split_whitespace().nth(6));
    inodes.map(str::to_owned).collect()
}

#[test]
fn silent_clients_take_little_and_make_room_for_others() {
    let mut server = Server::new("silent").workers(1).start();
    server.expect_descriptors(MOST_CLIENTS);
    let mut first = Controller::of(&server);
    first.call("help").expect("served");
    let before = server.master().descriptors();
    let mut silent = Vec::new();
    for index in 0..1000 {
        silent.push(Controller::of(&server));
        if index % 50 == 0 {
            Controller::of(&server).call("show stats").expect("served");
        }
    }
    Controller::of(&server).call("show stats").expect("served");
    assert!(server.master().descriptors() <= before + MOST_CLIENTS);
    for client in silent.iter_mut().rev().take(3) {
        client.call("help").expect("the last ones are still there");
    }
    let error = first.ask("help", &[]).and_then(|()| first.frame());
    let kind = error.expect_err("the first one is gone").kind();
    assert!(matches!(
        kind,
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    ));
    assert_eq!(server.get("/").status, 200);
    drop(silent);
    eventually("their descriptors are closed", || {
        (server.master().descriptors() <= before + 2).then_some(())
    });
}

/// One that waits for its answer is not sent away.
#[test]
fn clients_that_wait_keep_their_place() {
    let (builder, gate) = BootGate::open_for(Server::new("waiting").lab().workers(1));
    let server = builder.start();
    gate.close();
    let mut waiting = Controller::of(&server);
    waiting.ask("reload", &["--wait"]).expect("asked");
    server
        .log()
        .wait_for("Handling control command: reload --wait");
    let others: Vec<_> = (0..200).map(|_| Controller::of(&server)).collect();
    Controller::of(&server).call("help").expect("served");
    gate.open();
    let frame = waiting.frame().expect("an answer");
    assert_eq!(frame["data"]["status"], "reloaded", "{frame}");
    drop(others);
}

/// Neither clients that take no answer nor clients that wait can keep everybody else out.
#[test]
fn no_kind_of_client_takes_all_places() {
    let (builder, gate) = BootGate::open_for(Server::new("places").lab().workers(1));
    let server = builder.start();
    let mut deaf: Vec<_> = (0..MOST_CLIENTS).map(|_| Controller::of(&server)).collect();
    for client in &mut deaf {
        for _ in 0..500 {
            client.ask("show config", &[]).expect("sent");
        }
    }
    // Until none of them takes anything more.
    let mut before = 0;
    eventually("the master has nothing to do", || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        let now = server.master().processor_ticks();
        (now == std::mem::replace(&mut before, now)).then_some(())
    });
    eventually("one of them makes room", || {
        let mut client = Controller::of(&server);
        client.ask("help", &[]).ok()?;
        client.frame().ok()
    });
    drop(deaf);
    gate.close();
    let mut waiting: Vec<_> = (0..MOST_CLIENTS - 1)
        .map(|_| Controller::of(&server))
        .collect();
    for client in &mut waiting {
        client.ask("reload", &["--wait"]).expect("sent");
    }
    let refused = waiting.last_mut().expect("one").frame().expect("an answer");
    let error = refused["error"].as_str().unwrap_or_default();
    assert!(error.contains("Too many clients wait"), "{refused}");
    Controller::of(&server).call("help").expect("served");
    gate.open();
    let frame = waiting[0].frame().expect("an answer");
    assert_eq!(frame["data"]["status"], "reloaded", "{frame}");
}

#[test]
fn a_slow_reader_holds_up_nobody_and_gets_everything() {
    let server = Server::new("slow reader").workers(1).start();
    let mut slow = Controller::of(&server);
    slow.call("help").expect("served");
    let memory = server.master().kib("VmRSS");
    // It sends as much as it can, and takes nothing.
    let most = 64 * 1024 * 1024;
    let sent = slow.flood(br#"{"id": 1, "command": "show config"}"#, most);
    assert!(sent < most / 8, "the master has read {sent} octets");
    for _ in 0..20 {
        Controller::of(&server).call("show stats").expect("served");
    }
    assert!(server.master().kib("VmRSS") < memory + 8 * 1024);
    for index in 0..20 {
        let frame = slow.frame().expect("an answer");
        assert_eq!(frame["status"], "ok", "{index}");
    }
}

#[test]
fn requests_may_come_in_pieces_and_many_at_once() {
    let server = Server::new("pieces").workers(1).start();
    let mut client = Controller::of(&server);
    let payload = br#"{"id": 1, "command": "help", "args": []}"#;
    let mut frame = u32::try_from(payload.len())
        .expect("a length")
        .to_be_bytes()
        .to_vec();
    frame.extend_from_slice(payload);
    for octet in &frame {
        client.send(&[*octet]).expect("sent");
    }
    assert_eq!(client.frame().expect("an answer")["id"], 1);
    client.send(&frame.repeat(100)).expect("sent");
    for _ in 0..100 {
        assert_eq!(client.frame().expect("an answer")["status"], "ok");
    }
}

#[test]
fn what_is_no_request_is_refused_and_the_rest_is_served() {
    let server = Server::new("refused").workers(1).start();
    let mut client = Controller::of(&server);
    for payload in [&b"{}"[..], b"[]", b"7", br#"{"command": ["a"]}"#] {
        client.send_frame(payload).expect("sent");
        assert_eq!(client.frame().expect("an answer")["status"], "error");
    }
    client.send_frame(&[b' '; 200_000]).expect("sent");
    let long = client.frame().expect("an answer");
    assert!(
        long["error"]
            .as_str()
            .is_some_and(|it| it.contains("200000 octets")),
        "{long}"
    );
    client.call("help").expect("it is still served");
    for payload in [
        &b""[..],
        b"\xff\xfe",
        b"{\"command\": \"\xff\"}",
        b"{",
        b"null,",
    ] {
        let mut client = Controller::of(&server);
        client.send_frame(payload).expect("sent");
        let answer = client.frame().expect("an answer");
        assert!(
            answer["error"]
                .as_str()
                .is_some_and(|it| it.contains("Invalid JSON")),
            "{answer}"
        );
        assert_eq!(client.rest().expect("the end"), b"");
    }
    let mut client = Controller::of(&server);
    client.send(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let answer = client.frame().expect("an answer");
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|it| it.contains("too large")),
        "{answer}"
    );
    client.rest().expect("the end");
}

/// Whatever comes, the master lives, spends little and serves the next client.
#[test]
fn fuzzed_frames_do_no_harm() {
    let server = Server::new("fuzzed").workers(1).start();
    let children = server.children();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("a small number")
    };
    let samples: [&[u8]; 4] = [
        br#"{"id": 1, "command": "show all", "args": []}"#,
        br#"{"id": 2, "command": "show workers", "args": ["x"]}"#,
        br#"{"id": 3, "command": "help"}"#,
        br#"{"id": [[[{}]]], "command": "show 'config'", "args": [1, null, {"a": []}]}"#,
    ];
    for round in 0..400 {
        let mut octets = Vec::new();
        for _ in 0..1 + random(4) {
            let mut payload = samples[random(samples.len())].to_vec();
            for _ in 0..random(4) {
                let at = random(payload.len());
                payload[at] = u8::try_from(random(256)).expect("an octet");
            }
            let length = match random(6) {
                0 => random(100),
                _ => payload.len(),
            };
            octets.extend(u32::try_from(length).expect("a length").to_be_bytes());
            octets.extend(payload);
        }
        let mut client = Controller::of(&server);
        for piece in octets.chunks(1 + random(octets.len())) {
            if client.send(piece).is_err() {
                break;
            }
        }
        if random(2) == 0 {
            // Some do not wait for the answer.
            let _ = client.finish_sending().and_then(|()| client.rest());
        }
        if round % 50 == 0 {
            Controller::of(&server).call("show stats").expect("served");
        }
    }
    Controller::of(&server).call("show stats").expect("served");
    assert_eq!(server.children(), children, "none of it was a command");
}

/// Whatever state a client is in, the master sleeps until something happens.
#[test]
fn no_client_makes_the_master_spin() {
    let (builder, gate) = BootGate::open_for(Server::new("spin").lab().workers(1));
    let server = builder.start();
    gate.close();
    let frame = br#"{"id": 1, "command": "reload --wait"}"#;
    let mut clients: Vec<_> = (0..5).map(|_| Controller::of(&server)).collect();
    // One waits, one waits with more to say, one has sent its last, one says half a frame, one takes nothing.
    clients[0].send_frame(frame).expect("sent");
    for _ in 0..100 {
        clients[1].send_frame(frame).expect("sent");
    }
    clients[2].send_frame(frame).expect("sent");
    clients[2].finish_sending().expect("shut down");
    clients[3].send(&[0, 0, 0, 99, b'{']).expect("sent");
    clients[4].flood(br#"{"id": 1, "command": "show config"}"#, 64 << 20);
    // And one has hung up while it waited.
    Controller::of(&server).send_frame(frame).expect("sent");
    server
        .log()
        .wait_for_nth("Handling control command: reload --wait", 4);
    let before = server.master().processor_ticks();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let used = server.master().processor_ticks() - before;
    assert!(used < 50, "{used} hundredths of a second in two seconds");
    gate.open();
    for client in [0, 2] {
        let answer = clients[client].frame().expect("an answer");
        assert_eq!(answer["data"]["status"], "reloaded", "{answer}");
    }
}

/// The master answers alone: no thread of a worker has to.
#[test]
fn it_answers_while_every_thread_is_stuck() {
    let server = Server::new("stuck").lab().workers(2).threads(2).start();
    let gate = server.dir().join("gate");
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        let target = format!(
            "GET /hold?until={} HTTP/1.1\r\nHost: x\r\n\r\n",
            gate.display()
        );
        client.send(target.as_bytes()).expect("sent");
    }
    let mut control = Controller::of(&server);
    for command in [
        "show all",
        "show workers",
        "show stats",
        "show config",
        "show listeners",
    ] {
        control.call(command).expect("answered");
    }
    std::fs::write(&gate, "").expect("a file");
    for client in &mut clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
}

#[test]
fn a_peer_of_another_user_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let server = Server::new("other user").workers(1).start();
    let path = server.dir().join(crate::harness::PLACE);
    // By accident, everybody can reach the file.
    for place in [server.dir(), path.parent().expect("a directory"), &path] {
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o777)).expect("root");
    }
    let script = "import socket, struct, json, sys\n\
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        p = json.dumps({'id': 5, 'command': 'shutdown'}).encode()\n\
        s.sendall(struct.pack('>I', len(p)) + p)\n\
        sys.stdout.write(s.makefile('rb').read()[4:].decode())";
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .args(["python3", "-c", script])
        .arg(&path)
        // One that every user may run.
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("python");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(
        (&answer["id"], &answer["status"]),
        (&5.into(), &"error".into())
    );
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|it| it.contains("65534")),
        "{answer}"
    );
    server.log().wait_for("Control client refused: user 65534");
    assert_eq!(server.get("/").status, 200, "it serves on");
}
