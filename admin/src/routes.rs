//! The paths of the admin process. All take GET and HEAD.

use http::StatusCode;
use oxicorn_common::{Request, Response};

use crate::application::AdminApp;
use crate::metrics;
use crate::negotiation::format_for;
use crate::page;
use crate::readiness::{master_lives, obstacle};
use crate::reply::{json, method_not_allowed, not_found, reply};

type RouteHandler = fn(&AdminApp, &Request) -> Response;

const ROUTES: [(&str, RouteHandler); 5] = [
    (page::PATH, live_page),
    ("/metrics", scrape),
    ("/status", status),
    ("/healthz", healthz),
    ("/ready", ready),
];

/// Answers a request of a client that may ask.
pub(crate) fn answer(app: &AdminApp, request: &Request) -> Response {
    let route = ROUTES.iter().find(|(path, _)| *path == request.path());
    match (route, request.method()) {
        (None, _) => not_found(),
        // The worker sends no body with a response to HEAD.
        (Some((_, answer)), "GET" | "HEAD") => answer(app, request),
        _ => method_not_allowed(),
    }
}

fn live_page(_: &AdminApp, _: &Request) -> Response {
    page::page()
}

/// The figures for Prometheus.
fn scrape(app: &AdminApp, request: &Request) -> Response {
    let format = format_for(request);
    let text = metrics::write(&app.report(), format);
    reply(StatusCode::OK, format.content_type(), text.into_bytes()).field("Vary", "Accept")
}

/// Everything, as JSON.
fn status(app: &AdminApp, _: &Request) -> Response {
    match serde_json::to_string(&app.report()) {
        Ok(text) => json(StatusCode::OK, &text),
        Err(_) => Response::failure(),
    }
}

/// Whether this process and the master live.
fn healthz(app: &AdminApp, _: &Request) -> Response {
    match master_lives(app.facts.master) {
        true => json(StatusCode::OK, r#"{"healthy": true}"#),
        false => json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"healthy": false, "reason": "the master is gone"}"#,
        ),
    }
}

/// Whether the server should get requests.
fn ready(app: &AdminApp, _: &Request) -> Response {
    match obstacle(&app.scoreboard) {
        None => json(StatusCode::OK, r#"{"ready": true}"#),
        Some(reason) => {
            let text = format!(r#"{{"ready": false, "reason": "{reason}"}}"#);
            json(StatusCode::SERVICE_UNAVAILABLE, &text)
        }
    }
}
