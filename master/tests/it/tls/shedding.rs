//! Requests over TLS cannot wait in the queue of all workers.

use super::{Scene, connect};
use crate::shedding::faults::{LEFT, who_has_left_is_not_served};
use crate::shedding::{LATE, late_requests_are_refused};

#[test]
fn requests_over_tls_that_have_waited_too_long_are_refused() {
    let scene = Scene::new();
    // With two workers, both connections may be at the same one.
    for threads in [1, 2] {
        let builder = scene.server("late tls").threads(threads).args(&LATE);
        let args = ["--timeout", "0", "--access-logfile", "-"];
        let server = builder.args(&args).start();
        let tls = scene.authority.client();
        late_requests_are_refused(&server, threads, |server| connect(server, &tls));
    }
}

/// A close_notify comes before the end.
#[test]
fn a_request_over_tls_whose_client_has_left_is_not_run() {
    let scene = Scene::new();
    let builder = scene.server("left tls").args(&LEFT);
    let args = ["--timeout", "0", "--access-logfile", "-"];
    let server = builder.args(&args).start();
    let tls = scene.authority.client();
    let connect = |server: &_| connect(server, &tls);
    who_has_left_is_not_served(&server, 1, connect, |mut client| {
        client.finish().expect("sent");
    });
}
