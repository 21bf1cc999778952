//! Health checks on `health_path`. The reactor answers them itself: so the answer comes while the application holds all
//! request threads, and says whether the server should get new clients, not how busy it is. A balancer that takes busy
//! servers out leaves their load to the others, until none is left.
//!
//! Neither the access log nor statsd see these requests, as with HAProxy's `monitor-uri`.

use http::StatusCode;
use oxicorn_common::{Response, ResponseBody};

use super::Reactor;
use crate::connection::{Connection, ConnectionState};

impl Reactor {
    /// Whether the request that has just become whole is a health check.
    pub(super) fn is_health_check(&self, connection: &Connection) -> bool {
        let path = self.shared.settings.health_path.as_deref();
        path.is_some_and(|path| connection.head().is_some_and(|head| head.path() == path))
    }

    pub(super) fn answer_health_check(&mut self, mut connection: Box<Connection>, is_whole: bool) {
        let method = connection.head().map_or("", |head| head.method());
        let response = match method {
            "GET" | "HEAD" => self.health(),
            _ => Response::new(StatusCode::METHOD_NOT_ALLOWED).field("Allow", "GET, HEAD"),
        };
        let may_stay = is_whole && self.shared.keeps_alive(connection.transport().is_tls());
        let after = connection.begin_own(response, may_stay, self.date.at(self.now));
        // Far shorter than what one turn may send.
        let _ = connection.flush(after);
        self.go_on_after_own(connection);
    }

    /// The event loop has answered a request itself.
    pub(super) fn go_on_after_own(&mut self, mut connection: Box<Connection>) {
        match connection.state() {
            // The next request has its turn after those of others: a client may have sent any number of them.
            ConnectionState::Idle => {
                let keepalive = self.shared.settings.keepalive;
                connection
                    .lifecycle_mut()
                    .await_request(self.now, keepalive);
                connection.yield_turn();
                self.hold(connection, false);
            }
            _ => self.place(connection),
        }
    }

    fn health(&self) -> Response {
        let state = self.shared.server_state();
        let (status, text) = match state.is_ready() {
            true => (StatusCode::OK, "ok\n"),
            false => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is about to end\n",
            ),
        };
        Response::new(status)
            .field("Content-Type", "text/plain")
            .field("Cache-Control", "no-store")
            .body(ResponseBody::Static(text.as_bytes()))
    }
}
