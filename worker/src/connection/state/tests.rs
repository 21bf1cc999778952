//! The states of a connection, and their times, without a socket.

use super::*;

const HEADER: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// No minimum rate: any progress starts the time again.
fn pace() -> Pace {
    Pace::of_body(&oxicorn_common::Settings {
        body_timeout: Duration::from_secs(10),
        body_min_rate: 0,
        ..oxicorn_common::Settings::default()
    })
}

fn admitted(now: Instant) -> Lifecycle {
    let mut lifecycle = Lifecycle::new(now);
    lifecycle.admit(None, now, HEADER);
    lifecycle
}

fn left(lifecycle: &Lifecycle, now: Instant) -> Option<Duration> {
    let deadline = lifecycle.deadline();
    deadline.map(|at| at.saturating_duration_since(now))
}

#[test]
fn a_plain_connection_has_no_preface_and_the_time_of_a_head_to_say_something() {
    let now = Instant::now();
    let mut lifecycle = admitted(now);
    assert_eq!(lifecycle.state(), ConnectionState::Head);
    lifecycle.await_request(now + SECOND, KEEPALIVE);
    assert_eq!(lifecycle.state(), ConnectionState::Head);
    assert_eq!(left(&lifecycle, now), Some(HEADER));
    // The first byte brings no more time.
    lifecycle.await_head(now + SECOND, HEADER);
    assert_eq!(left(&lifecycle, now), Some(HEADER));
    assert!(lifecycle.is_overdue(now + HEADER) && !lifecycle.is_overdue(now));
}

#[test]
fn a_preface_has_one_time_in_all_and_a_head_another() {
    let now = Instant::now();
    let mut lifecycle = Lifecycle::new(now);
    assert!(lifecycle.is_new());
    lifecycle.admit(Some(PrefaceState::FirstByte), now, HEADER);
    lifecycle.advance_preface(PrefaceState::Handshake);
    let handshake = ConnectionState::Preface(PrefaceState::Handshake);
    assert_eq!(lifecycle.state(), handshake);
    assert_eq!(left(&lifecycle, now), Some(HEADER));
    lifecycle.end_preface(now + SECOND, HEADER);
    assert_eq!(lifecycle.state(), ConnectionState::Head);
    assert_eq!(left(&lifecycle, now), Some(HEADER + SECOND));
}

#[test]
fn a_kept_alive_connection_idles_and_its_next_head_has_a_time_of_its_own() {
    let now = Instant::now();
    let mut lifecycle = admitted(now);
    lifecycle.await_thread(ThreadWork::Respond, now);
    lifecycle.end_response(AfterResponse::KeepAlive);
    assert!(lifecycle.is_receiving());
    lifecycle.await_request(now, KEEPALIVE);
    assert_eq!(lifecycle.state(), ConnectionState::Idle);
    assert_eq!(left(&lifecycle, now), Some(KEEPALIVE));
    lifecycle.await_head(now + SECOND, HEADER);
    assert_eq!(left(&lifecycle, now + SECOND), Some(HEADER));
    assert_eq!(lifecycle.since(), now + SECOND);
}

#[test]
fn zero_is_for_ever() {
    let now = Instant::now();
    let mut lifecycle = Lifecycle::new(now);
    lifecycle.admit(None, now, Duration::ZERO);
    assert_eq!(lifecycle.deadline(), None);
    assert!(!lifecycle.is_overdue(now + HEADER));
}

#[test]
fn a_body_has_more_time_with_each_octet_and_all_of_it_again_where_the_server_did_not_read() {
    let now = Instant::now();
    let mut lifecycle = admitted(now);
    let whole = Duration::from_secs(10);
    lifecycle.await_body(now, pace(), 0);
    assert_eq!(left(&lifecycle, now), Some(whole));
    lifecycle.await_body(now + SECOND, pace(), 0);
    assert_eq!(left(&lifecycle, now), Some(whole));
    lifecycle.await_body(now + SECOND, pace(), 1);
    assert_eq!(left(&lifecycle, now), Some(whole + SECOND));
    lifecycle.restart_body(now + 3 * SECOND, pace());
    assert_eq!(left(&lifecycle, now), Some(whole + 3 * SECOND));
}

#[test]
fn a_slow_client_has_one_time_for_a_response_however_often_its_socket_is_full() {
    let now = Instant::now();
    let mut lifecycle = admitted(now);
    lifecycle.await_thread(ThreadWork::Respond, now);
    lifecycle.begin_sending(AfterResponse::Linger);
    assert!(lifecycle.needs_time());
    lifecycle.await_room(now, pace());
    let deadline = lifecycle.deadline();
    lifecycle.begin_sending(AfterResponse::Linger);
    assert!(!lifecycle.needs_time());
    assert_eq!(lifecycle.deadline(), deadline);
    lifecycle.end_response(AfterResponse::Linger);
    let begin = ConnectionState::Lingering(Linger::Begin);
    assert_eq!(lifecycle.state(), begin);
    lifecycle.await_end(now, SECOND);
    assert!(lifecycle.await_acknowledgement(now + SECOND, pace()));
    let acknowledgement = ConnectionState::Lingering(Linger::Acknowledgement);
    assert_eq!(lifecycle.state(), acknowledgement);
}

#[test]
fn the_next_response_has_a_time_of_its_own() {
    let now = Instant::now();
    let mut lifecycle = admitted(now);
    for _ in 0..2 {
        lifecycle.await_thread(ThreadWork::Respond, now);
        lifecycle.begin_sending(AfterResponse::KeepAlive);
        assert!(lifecycle.needs_time());
        lifecycle.await_room(now, pace());
        lifecycle.end_response(AfterResponse::KeepAlive);
    }
}

#[test]
fn a_request_from_a_sibling_keeps_its_place_once() {
    let now = Instant::now();
    let earlier = now - SECOND;
    let mut lifecycle = Lifecycle::new(now);
    lifecycle.resume();
    lifecycle.keep_place(earlier);
    lifecycle.admit(Some(PrefaceState::FirstByte), now, HEADER);
    assert_eq!(lifecycle.state(), ConnectionState::Idle);
    lifecycle.await_thread(ThreadWork::Respond, now);
    assert_eq!(lifecycle.ready_at(), earlier);
    assert!(!lifecycle.keeps_place());
    lifecycle.await_thread(ThreadWork::Respond, now);
    assert_eq!(lifecycle.ready_at(), now);
}

#[test]
fn what_was_handed_over_between_requests_has_the_time_of_a_head() {
    let now = Instant::now();
    let mut lifecycle = Lifecycle::new(now);
    lifecycle.resume();
    lifecycle.admit(Some(PrefaceState::ProxyHeader), now, HEADER);
    assert_eq!(lifecycle.state(), ConnectionState::Head);
    assert_eq!(left(&lifecycle, now), Some(HEADER));
}

#[test]
fn a_response_that_ends_the_connection_closes_it_or_lingers() {
    let now = Instant::now();
    for (after, state) in [
        (AfterResponse::Close, ConnectionState::Closed),
        (AfterResponse::KeepAlive, ConnectionState::Idle),
    ] {
        let mut lifecycle = admitted(now);
        lifecycle.await_thread(ThreadWork::Respond, now);
        lifecycle.end_response(after);
        assert_eq!(lifecycle.state(), state);
    }
    let mut lifecycle = admitted(now);
    lifecycle.time_out();
    assert_eq!(lifecycle.state(), ConnectionState::TimedOut);
    assert!(!lifecycle.is_receiving());
}
