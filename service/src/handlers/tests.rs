//! Calls as the worker makes them, in one process or in several over one file.

use std::thread;
use std::time::Instant;

use oxicorn_common::request::Span;
use oxicorn_common::{Body, RequestHead, ResponseBody};
use serde_json::{Value, json};

use super::super::store::testing::{self, Guard};
use super::*;

const BASE: &str = "/api/v1/eventstreammonitor";

fn open(settings: &Settings) -> Service {
    Service::new(&testing::context(settings)).expect("a service")
}

fn service() -> (Guard, Service) {
    let (folder, settings) = testing::settings();
    let service = open(&settings);
    (folder, service)
}

fn request(method: &str, target: &str, content_type: &str, body: &[u8]) -> Request {
    let mut head = RequestHead::default();
    let mut put = |text: &str| {
        let start = u32::try_from(head.bytes.len()).expect("a short head");
        head.bytes.extend_from_slice(text.as_bytes());
        let end = u32::try_from(head.bytes.len()).expect("a short head");
        Span { start, end }
    };
    let (method, target) = (put(method), put(target));
    let field = (put("Content-Type"), put(content_type));
    (head.method, head.target) = (method, target);
    if !content_type.is_empty() {
        head.fields.push(field);
    }
    Request {
        head,
        body: Body::from(body.to_vec()),
        ..Request::default()
    }
}

fn send(service: &Service, method: &str, path: &str, content_type: &str, body: &[u8]) -> Response {
    let target = format!("{BASE}{path}");
    answer(service, &mut request(method, &target, content_type, body))
}

fn answer(service: &Service, request: &mut Request) -> Response {
    service.call(request, &mut ResponseSink::new(&mut |_| Ok(())))
}

fn value(response: &Response) -> Value {
    let bytes: &[u8] = match &response.body {
        ResponseBody::Empty | ResponseBody::Foreign(_) | ResponseBody::Stream(_) => {
            return Value::Null;
        }
        ResponseBody::Static(bytes) => bytes,
        ResponseBody::Bytes(bytes) => bytes,
        ResponseBody::Shared(bytes) => bytes,
    };
    serde_json::from_slice(bytes).expect("JSON")
}

fn call(service: &Service, method: &str, path: &str, body: Value) -> (u16, Value) {
    let bytes = match &body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let response = send(service, method, path, "application/json", &bytes);
    (response.status.as_u16(), value(&response))
}

fn field<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let found = response.fields.iter().find(|(key, _)| key == name);
    found.and_then(|(_, value)| std::str::from_utf8(value).ok())
}

#[test]
fn what_is_wrong_with_a_body_is_named() {
    let (_folder, service) = service();
    let missing = json!([{"field": "userId", "problem": "is missing"}]);
    for body in [json!({}), json!({"userId": null})] {
        let (status, answer) = call(&service, "POST", "/tasks", body);
        assert_eq!((status, &answer["problems"]), (400, &missing), "{answer}");
    }
    let all = json!({"userId": 1.5, "taskType": "x", "priority": 7, "parameters": []});
    let (_, answer) = call(&service, "POST", "/tasks", all);
    let text = answer["problems"].to_string();
    for part in [
        "must be an integer or a text of 1 to 64 characters",
        "must be one of data_processing, file_upload, ",
        "must be one of low, medium, high, critical",
        "must be a JSON object",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let (_, answer) = call(&service, "POST", "/tasks", json!([1]));
    let object = json!([{"field": "", "problem": "must be a JSON object"}]);
    assert_eq!(answer["problems"], object);
    let (status, answer) = call(&service, "POST", "/sessions", json!({"userId": 99}));
    assert_eq!(
        (status, &answer["message"]),
        (400, &json!("the body cannot be accepted"))
    );
    let user = json!({"username": " anna", "email": "nowhere", "fullName": 5});
    let (_, answer) = call(&service, "POST", "/users", user);
    assert_eq!(
        answer["problems"].as_array().map(Vec::len),
        Some(3),
        "{answer}"
    );
}

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    let (_folder, service) = service();
    let post = |content_type, body: &[u8]| send(&service, "POST", "/tasks", content_type, body);
    let json = "application/json; charset=utf-8";
    for (body, place) in [
        (&b"{\n  x}"[..], "line 2 column 3"),
        (b"", "line 1 column 0"),
        (b"\xff", "line 1 column 1"),
        (&[b'['; 5000], "line 1 column 128"),
    ] {
        let answer = post(json, body);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let answer = value(&answer);
        assert_eq!(answer["error"], "BAD_JSON");
        assert!(
            answer["message"]
                .as_str()
                .is_some_and(|it| it.ends_with(place)),
            "{answer}"
        );
    }
    for other in ["", "text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(
            post(other, b"{}").status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{other}"
        );
    }
    assert_eq!(
        post(json, br#"{"userId": "anna", "new": 1}"#).status,
        StatusCode::CREATED
    );
}

#[test]
fn other_methods_and_other_paths_are_told_apart() {
    let (_folder, service) = service();
    let answer = send(&service, "PATCH", "/users/1", "", b"");
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        field(&answer, "Allow"),
        Some("DELETE, GET, HEAD, OPTIONS, PUT")
    );
    let answer = send(&service, "OPTIONS", "/tasks", "", b"");
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(call(&service, "GET", "/tasks/1000", Value::Null).0, 404);
    assert_eq!(
        call(&service, "PUT", "/tasks/1000/cancel", Value::Null).0,
        404
    );
    assert_eq!(call(&service, "GET", "/nothing", Value::Null).0, 404);
    let created = send(
        &service,
        "POST",
        "/tasks",
        "application/json",
        br#"{"userId": 1}"#,
    );
    assert_eq!(
        field(&created, "Location"),
        Some("/api/v1/eventstreammonitor/tasks/1000")
    );
}

#[test]
fn limits_and_offsets_have_bounds() {
    let (_folder, service) = service();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "status=x",
        "taskType=x",
    ] {
        let (status, answer) = call(&service, "GET", &format!("/tasks?{query}"), Value::Null);
        assert_eq!(status, 400, "{query}: {answer}");
    }
    for query in [
        "limit=1000",
        "limit=%35",
        "offset=9223372036854775807",
        "other=1",
        "status=",
    ] {
        let (status, answer) = call(&service, "GET", &format!("/tasks?{query}"), Value::Null);
        assert_eq!(
            (status, &answer["pagination"]["hasMore"]),
            (200, &json!(false)),
            "{query}"
        );
    }
}

/// Each process has a cache, and none may return an old value.
#[test]
fn what_one_process_wrote_another_shows() {
    let (_folder, settings) = testing::settings();
    let (one, other) = (open(&settings), open(&settings));
    let anna = json!({"username": "anna", "email": "a@example.org"});
    assert_eq!(call(&one, "POST", "/users", anna.clone()).0, 201);
    assert_eq!(call(&other, "POST", "/users", anna).0, 409);
    let (_, session) = call(&one, "POST", "/sessions", json!({"userId": 1}));
    let session = format!(
        "/sessions/{}",
        session["session"]["sessionId"].as_str().expect("id")
    );
    assert_eq!(call(&one, "POST", "/tasks", json!({"userId": 1})).0, 201);
    for path in ["/users/1", "/tasks/1000", &session] {
        for service in [&one, &other, &one, &other] {
            assert_eq!(call(service, "GET", path, Value::Null).0, 200, "{path}");
        }
    }
    assert_eq!(
        call(&one, "PUT", "/users/1", json!({"fullName": "Anna"})).0,
        200
    );
    let (_, user) = call(&other, "GET", "/users/1", Value::Null);
    assert_eq!(user["user"]["fullName"], "Anna");
    assert_eq!(
        call(&other, "PUT", "/tasks/1000/cancel", Value::Null).0,
        200
    );
    let (_, task) = call(&one, "GET", "/tasks/1000", Value::Null);
    assert_eq!(task["task"]["status"], "cancelled");
    let (_, list) = call(&one, "GET", "/tasks?status=cancelled", Value::Null);
    assert_eq!(list["pagination"]["total"], 1);
    assert_eq!(call(&one, "DELETE", "/users/1", Value::Null).0, 204);
    for path in ["/users/1", &session] {
        assert_eq!(call(&other, "GET", path, Value::Null).0, 404, "{path}");
    }
}

#[test]
fn a_session_is_over_with_its_time_though_it_was_cached() {
    let (_folder, mut settings) = testing::settings();
    ServiceSettings::of_mut(&mut settings).session_ttl = Duration::from_millis(200);
    let service = open(&settings);
    let anna = json!({"username": "anna", "email": "a@example.org"});
    assert_eq!(call(&service, "POST", "/users", anna).0, 201);
    let (_, session) = call(&service, "POST", "/sessions", json!({"userId": 1}));
    let path = format!(
        "/sessions/{}",
        session["session"]["sessionId"].as_str().expect("id")
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while call(&service, "GET", &path, Value::Null).0 == 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(call(&service, "PUT", &path, Value::Null).0, 404);
}

#[test]
fn writers_of_several_processes_do_not_get_in_each_others_way() {
    let (_folder, settings) = testing::settings();
    let services: Vec<Service> = (0..4).map(|_| open(&settings)).collect();
    thread::scope(|scope| {
        for service in services.iter().chain(&services) {
            scope.spawn(|| {
                for user in 0..10 {
                    let (status, answer) = call(service, "POST", "/tasks", json!({"userId": user}));
                    assert_eq!(status, 201, "{answer}");
                    let path = format!("/tasks/{}", answer["task"]["taskId"]);
                    assert_eq!(call(service, "GET", &path, Value::Null).0, 200, "{path}");
                }
            });
        }
    });
    let (_, list) = call(&services[0], "GET", "/tasks?limit=1", Value::Null);
    assert_eq!(list["tasks"][0]["taskId"], 1079);
    assert_eq!(list["pagination"]["total"], 80);
}

#[test]
fn who_gets_no_connection_is_told_to_come_again() {
    let (folder, mut settings) = testing::settings();
    let own = ServiceSettings::of_mut(&mut settings);
    (own.pool_size, own.max_overflow) = (1, 0);
    ServiceSettings::of_mut(&mut settings).pool_timeout = Duration::from_millis(20);
    let service = open(&settings);
    let elsewhere = rusqlite::Connection::open(folder.file()).expect("the file");
    elsewhere.execute_batch("BEGIN IMMEDIATE").expect("a turn");
    thread::scope(|scope| {
        // It waits while it has the only connection.
        let writer = scope.spawn(|| call(&service, "POST", "/tasks", json!({"userId": 1})).0);
        let deadline = Instant::now() + Duration::from_secs(4);
        let refused = loop {
            let answer = send(&service, "GET", "/users/1", "", b"");
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                break answer;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        };
        assert_eq!(field(&refused, "Retry-After"), Some("1"));
        elsewhere.execute_batch("COMMIT").expect("the end");
        assert_eq!(writer.join().expect("no panic"), 201);
    });
    assert_eq!(call(&service, "GET", "/tasks/1000", Value::Null).0, 200);
}

#[test]
fn ready_names_each_backend() {
    let (_guard, service) = service();
    let mut asked = request("GET", "/ready", "", b"");
    let response = answer(&service, &mut asked);
    assert_eq!(response.status, StatusCode::OK);
    let answer = value(&response);
    assert_eq!(answer["status"], "ready");
    assert_eq!(answer["store"], json!({"kind": "SQLite", "state": "up"}));
    assert_eq!(answer["cache"], json!({"kind": "memory", "state": "up"}));
    assert_eq!(answer["events"], json!({"kind": "outbox", "state": "up"}));
}
