//! The protocol without a socket: every case in every cut.

use super::*;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    append_frame(payload, &mut octets);
    octets
}

fn request(id: u64) -> Vec<u8> {
    framed(format!(r#"{{"id": {id}, "command": "help", "args": ["--progress"]}}"#).as_bytes())
}

/// A session, and what its client has read.
struct Client {
    session: ControlSession,
    now: Instant,
    read: FrameDecoder,
}

impl Client {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            session: ControlSession::new(now),
            now,
            read: FrameDecoder::of_client(),
        }
    }

    fn send(&mut self, octets: &[u8]) {
        self.session.receive(octets, self.now);
    }

    /// The client takes what is there.
    fn take(&mut self) -> Vec<Value> {
        let octets = self.session.unsent().to_vec();
        self.session.sent(octets.len(), self.now);
        self.read.feed(&octets);
        let frames = std::iter::from_fn(|| self.read.next());
        frames
            .map(|frame| match frame {
                Frame::Payload(payload) => serde_json::from_slice(&payload).expect("JSON"),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// The error that the session itself answers with.
    fn refusal(&mut self) -> String {
        assert_eq!(self.session.next_request(), None);
        let [frame] = &self.take()[..] else {
            panic!("one answer");
        };
        assert_eq!(frame["status"], "error");
        frame["error"].as_str().expect("a text").to_owned()
    }
}

#[test]
fn many_requests_in_a_row_are_answered_one_by_one_however_they_are_cut() {
    let stream: Vec<u8> = (0..20).flat_map(request).collect();
    for size in [1, 3, 7, 64, stream.len()] {
        let mut client = Client::new();
        let mut answered = 0;
        for part in stream.chunks(size) {
            client.send(part);
            while let Some(request) = client.session.next_request() {
                assert!(!client.session.wants_input(), "one at a time");
                assert_eq!(client.session.next_request(), None);
                client.session.answer(Ok(json!(answered)));
                assert_eq!(
                    client.session.next_request(),
                    None,
                    "not before it is taken"
                );
                let frames = client.take();
                assert_eq!(
                    (&frames[0]["id"], &frames[0]["data"]),
                    (&request.id, &json!(answered))
                );
                answered += 1;
            }
        }
        assert_eq!(answered, 20, "in pieces of {size}");
        assert!(client.session.wants_input() && !client.session.is_pending());
    }
}

#[test]
fn what_waits_behind_a_request_makes_the_next_turn_due() {
    let mut client = Client::new();
    client.send(&[request(1), request(2)].concat());
    assert!(client.session.is_pending());
    client.session.next_request().expect("the first");
    assert!(!client.session.is_pending(), "the master has to answer");
    client.session.answer(Ok(json!(1)));
    assert!(!client.session.is_pending(), "the client has to take that");
    client.take();
    assert!(client.session.is_pending());
}

#[test]
fn what_is_no_request_is_answered_and_foreign_clients_are_sent_away() {
    for (payload, reason, ends) in [
        (&b""[..], "Invalid JSON", true),
        (b"\xff\xfe\x00", "Invalid JSON", true),
        (b"{\"command\": \"\xc3\x28\"}", "Invalid JSON", true),
        (b"7", "JSON object", false),
        (b"{}", "Empty command", false),
    ] {
        let mut client = Client::new();
        client.send(&framed(payload));
        let refusal = client.refusal();
        assert!(refusal.contains(reason), "{refusal}");
        assert_eq!(client.session.is_over(), ends);
        assert_eq!(client.session.wants_input(), !ends);
    }
    let mut client = Client::new();
    client.send(&u32::MAX.to_be_bytes());
    assert!(client.refusal().contains("too large"));
    assert!(client.session.is_over());
}

#[test]
fn a_request_that_is_too_long_takes_no_memory_and_the_next_is_served() {
    let mut client = Client::new();
    let length = 16 * 1024 * 1024;
    client.send(&u32::try_from(length).expect("a length").to_be_bytes());
    for _ in 0..length / 65536 {
        assert_eq!(client.session.next_request(), None);
        client.send(&[b'x'; 65536]);
    }
    assert!(client.refusal().contains("16777216 octets"));
    client.send(&request(1));
    assert!(client.session.next_request().is_some());
}

#[test]
fn a_client_that_takes_nothing_gets_no_more_progress_but_the_answer() {
    let mut client = Client::new();
    client.send(&request(1));
    client.session.next_request().expect("a request");
    for _ in 0..10_000 {
        client.session.report(&json!({"text": "x".repeat(100)}));
    }
    assert!(client.session.unsent().len() <= MOST_PROGRESS + 200);
    client.session.answer(Ok(json!("done")));
    let frames = client.take();
    assert_eq!(frames.last().expect("the answer")["data"], "done");
}

#[test]
fn silence_has_an_end_unless_the_master_owes_the_answer() {
    let mut client = Client::new();
    let deadline = client.session.deadline().expect("a deadline");
    assert_eq!(deadline, client.now + IDLE_TIMEOUT);
    client.now += IDLE_TIMEOUT / 2;
    client.send(&request(1)[..5]);
    assert_eq!(client.session.deadline(), Some(client.now + IDLE_TIMEOUT));
    client.send(&request(1)[5..]);
    client.session.next_request().expect("a request");
    assert_eq!(client.session.deadline(), None);
    assert_eq!(
        client.session.idle_since(client.now),
        None,
        "it keeps its place"
    );
    client.session.answer(Err("no".to_owned()));
    assert!(client.session.deadline().is_some());
    assert_eq!(
        client.session.idle_since(client.now),
        None,
        "it has to take that"
    );
    assert!(client.session.idle_since(client.now + PATIENCE).is_some());
    client.take();
    assert!(client.session.idle_since(client.now).is_some());
}

#[test]
fn the_last_requests_of_a_client_are_served_before_it_goes() {
    let mut client = Client::new();
    client.send(&[request(1), request(2)].concat());
    client.session.end_input();
    for _ in 0..2 {
        assert!(!client.session.is_over());
        client.session.next_request().expect("a request");
        assert!(!client.session.is_over());
        client.session.answer(Ok(json!(1)));
        client.take();
    }
    assert!(client.session.is_over());
}

#[test]
fn one_that_may_not_control_the_server_hears_why() {
    let mut client = Client::new();
    client.session = ControlSession::refused("not you".to_owned(), client.now);
    client.send(&request(9));
    assert_eq!(client.refusal(), "not you");
    assert!(client.session.is_over());
}
