//! The task service end to end, on its embedded store: every call and all five kinds of work.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Client, Server, eventually};

pub(crate) const BASE: &str = "/api/v1/eventstreammonitor";
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

pub(crate) fn service(name: &str) -> Builder {
    Server::new(name)
        .app("native:eventstreammonitor")
        .env("DATABASE_URL", "sqlite:tasks.db")
}

/// Web workers and the runner.
pub(crate) fn start(builder: Builder, workers: usize) -> Server {
    let server = builder
        .args(&["--workers", &workers.to_string()])
        .start_with_unknown_workers();
    server.wait_for_children(workers + 1);
    server
}

pub(crate) fn parse(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

pub(crate) fn call(server: &Server, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map(|it| it.to_string()).unwrap_or_default();
    let fields = if body.is_empty() { "" } else { JSON };
    let answer = server
        .client()
        .request(method, &format!("{BASE}{path}"), fields, body.as_bytes())
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let value = match answer.body.is_empty() {
        true => Value::Null,
        false => parse(&answer),
    };
    (answer.status, value)
}

pub(crate) fn create(server: &Server, body: Value) -> i64 {
    let (status, answer) = call(server, "POST", "/tasks", Some(body));
    assert_eq!(status, 201, "{answer}");
    answer["task"]["taskId"].as_i64().expect("an id")
}

pub(crate) fn task(server: &Server, id: i64) -> Value {
    let (status, answer) = call(server, "GET", &format!("/tasks/{id}"), None);
    assert_eq!(status, 200, "{answer}");
    answer["task"].clone()
}

pub(crate) fn wait_for_status(server: &Server, id: i64, wanted: &str) -> Value {
    let mut last = Value::Null;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&format!("task {id} is {wanted}"), || {
            last = task(server, id);
            (last["status"] == wanted).then(|| last.clone())
        })
    }));
    found.unwrap_or_else(|_| panic!("task {id} is not {wanted}: {last}"))
}

#[test]
fn a_task_is_created_listed_and_found() {
    let server = start(service("tasks"), 2);
    let body = json!({"userId": 7, "taskType": "data_processing", "priority": "high",
        "parameters": {"numbers": [1, 2, 3]}});
    let (status, answer) = call(&server, "POST", "/tasks", Some(body));
    assert_eq!(status, 201);
    let created = &answer["task"];
    assert_eq!(created["taskId"], 1000);
    let reference = created["taskReference"].as_str().expect("a reference");
    assert!(
        reference.starts_with("TASK20") && reference.len() == 20,
        "{reference}"
    );
    assert_eq!(
        (
            &created["userId"],
            &created["taskType"],
            &created["priority"]
        ),
        (&json!(7), &json!("data_processing"), &json!("high"))
    );
    assert!(created["createdAt"].is_string() && created["progress"].is_number());
    for user in [7, 8, 7] {
        create(
            &server,
            json!({"userId": user, "parameters": {"numbers": [1]}}),
        );
    }
    let (_, list) = call(&server, "GET", "/tasks", None);
    let ids: Vec<_> = list["tasks"]
        .as_array()
        .expect("tasks")
        .iter()
        .map(|it| it["taskId"].clone())
        .collect();
    assert_eq!(
        ids,
        [json!(1003), json!(1002), json!(1001), json!(1000)],
        "newest first"
    );
    assert_eq!(
        list["pagination"],
        json!({"total": 4, "limit": 50, "offset": 0, "hasMore": false})
    );
    let (_, page) = call(&server, "GET", "/tasks?userId=7&limit=1&offset=1", None);
    assert_eq!(page["tasks"][0]["taskId"], 1001);
    assert_eq!(
        page["pagination"],
        json!({"total": 3, "limit": 1, "offset": 1, "hasMore": true})
    );
    let (_, none) = call(&server, "GET", "/tasks?status=cancelled", None);
    assert_eq!(none["tasks"], json!([]));
    assert_eq!(call(&server, "GET", "/tasks/999", None).0, 404);
    assert_eq!(call(&server, "GET", "/tasks/abc", None).0 / 100, 4);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn errors_say_what_is_wrong() {
    let server = start(service("errors"), 1);
    let bad = |body: &str, fields: &str| {
        let mut client = server.client();
        let answer = client
            .request("POST", &format!("{BASE}/tasks"), fields, body.as_bytes())
            .expect("an answer");
        (answer.status, parse(&answer))
    };
    let (status, answer) = bad("{\"userId\": }", JSON);
    assert_eq!(status, 400);
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|it| it.contains("column")),
        "{answer}"
    );
    assert_eq!(bad("[1]", JSON).0, 400);
    assert_eq!(
        bad(
            "userId=1",
            "Content-Type: application/x-www-form-urlencoded\r\n"
        )
        .0,
        415
    );
    let (status, answer) = bad(r#"{"taskType": "dancing", "priority": "asap"}"#, JSON);
    assert_eq!(status, 400);
    assert!(answer["error"].is_string(), "{answer}");
    let (status, answer) = call(&server, "GET", "/nothing", None);
    assert_eq!(status, 404);
    assert!(
        answer["error"].is_string() && answer["message"].is_string(),
        "{answer}"
    );
    let mut client = server.client();
    let answer = client
        .request("DELETE", &format!("{BASE}/tasks"), "", b"")
        .expect("an answer");
    assert_eq!(answer.status, 405);
    let allow = answer.field("Allow").expect("Allow");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    for query in [
        "limit=-1",
        "limit=x",
        "offset=-5",
        "status=sleeping",
        "taskType=dancing",
    ] {
        let (status, answer) = call(&server, "GET", &format!("/tasks?{query}"), None);
        assert_eq!(status, 400, "{query}: {answer}");
    }
}

/// A red and green image of two by two pixels.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEUlEQVR4nGP4z8DA8B+MgBgAHfAD/dPQfSYAAAAASUVORK5CYII=";

#[test]
fn all_five_kinds_of_work_are_done() {
    let server = start(service("work"), 1);
    let run = |task_type: &str, parameters: Value| {
        let body = json!({"userId": 7, "taskType": task_type, "parameters": parameters});
        let done = wait_for_status(&server, create(&server, body), "completed");
        assert_eq!(done["progress"], 100, "{done}");
        assert!(
            done["processingTime"].is_number() && done["startedAt"].is_string(),
            "{done}"
        );
        assert!(
            done["completedAt"].is_string() && done["errorMessage"].is_null(),
            "{done}"
        );
        done["result"].clone()
    };
    let result = run("data_processing", json!({"numbers": [1, 2, 3, 4]}));
    assert!(result.to_string().contains("2.5"), "{result}");
    let result = run(
        "data_processing",
        json!({"csv": "a,b\n1,x\n3,y\n", "columns": ["a"]}),
    );
    assert!(result.to_string().contains("\"mean\":2"), "{result}");
    let result = run(
        "file_upload",
        json!({"content": "hello", "encoding": "text", "filename": "a.txt"}),
    );
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(
        (&result["sha256"], &result["size"]),
        (&json!(sum), &json!(5))
    );
    let result = run("report_generation", json!({"userId": 7}));
    assert!(
        result["total"].as_i64().is_some_and(|it| it >= 3),
        "{result}"
    );
    let result = run("data_export", json!({"format": "csv"}));
    assert!(
        result["data"]
            .as_str()
            .is_some_and(|it| it.lines().count() >= 4),
        "{result}"
    );
    let result = run(
        "image_processing",
        json!({"image": PNG, "width": 4, "height": 4}),
    );
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(4), &json!(4)),
        "{result}"
    );
}

#[test]
fn a_new_task_is_taken_at_once() {
    const TASKS: u32 = 20;
    let server = start(service("bell"), 1);
    let began = Instant::now();
    for _ in 0..TASKS {
        let body = json!({"userId": 1, "parameters": {"numbers": [1]}});
        wait_for_status(&server, create(&server, body), "completed");
    }
    // A runner that is not woken looks every half a second by itself.
    let each = began.elapsed() / TASKS;
    assert!(each < Duration::from_millis(200), "{each:?} a task");
}

#[test]
fn bad_parameters_fail_the_task_and_say_why() {
    let server = start(service("bad work"), 1);
    let id = create(
        &server,
        json!({"userId": 1, "taskType": "image_processing", "parameters": {"image": "%%%"}}),
    );
    let failed = wait_for_status(&server, id, "failed");
    assert!(
        failed["errorMessage"]
            .as_str()
            .is_some_and(|it| !it.is_empty()),
        "{failed}"
    );
    let (status, _) = call(&server, "PUT", &format!("/tasks/{id}/cancel"), None);
    assert_eq!(status, 400);
}

#[test]
fn a_task_can_be_cancelled_once() {
    // No runner: the task stays where it is.
    let server = service("cancel")
        .args(&["--workers", "1", "--runners", "0"])
        .start();
    let id = create(&server, json!({"userId": 1}));
    let (status, answer) = call(&server, "PUT", &format!("/tasks/{id}/cancel"), None);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(task(&server, id)["status"], "cancelled");
    assert_eq!(
        call(&server, "PUT", &format!("/tasks/{id}/cancel"), None).0,
        400
    );
    assert_eq!(call(&server, "PUT", "/tasks/1/cancel", None).0, 404);
}

#[test]
fn users_and_sessions_live_and_end() {
    let server = start(service("users"), 2);
    let anna = json!({"username": "anna", "email": "anna@example.org"});
    let (status, answer) = call(&server, "POST", "/users", Some(anna.clone()));
    assert_eq!(status, 201, "{answer}");
    let user = &answer["user"];
    let id = user
        .get("id")
        .or(user.get("userId"))
        .expect("an id")
        .clone();
    assert_eq!(call(&server, "POST", "/users", Some(anna)).0, 409);
    let bad = json!({"username": "", "email": "nowhere"});
    assert_eq!(call(&server, "POST", "/users", Some(bad)).0, 400);
    let path = format!("/users/{id}");
    assert_eq!(call(&server, "GET", &path, None).0, 200);
    let change = json!({"email": "anna@example.com"});
    let (status, answer) = call(&server, "PUT", &path, Some(change));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["user"]["email"], "anna@example.com");

    let (status, answer) = call(&server, "POST", "/sessions", Some(json!({"userId": id})));
    assert_eq!(status, 201, "{answer}");
    let session = answer["session"]["sessionId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(session.len() >= 32, "{session}");
    let path_of_session = format!("/sessions/{session}");
    assert_eq!(call(&server, "GET", &path_of_session, None).0, 200);
    assert_eq!(
        call(&server, "PUT", &path_of_session, Some(json!({}))).0,
        200
    );
    assert_eq!(call(&server, "DELETE", &path_of_session, None).0 / 100, 2);
    assert_eq!(call(&server, "GET", &path_of_session, None).0, 404);

    assert_eq!(call(&server, "DELETE", &path, None).0 / 100, 2);
    assert_eq!(call(&server, "GET", &path, None).0, 404);
}

/// What one worker has committed, every other one sees at once.
#[test]
fn no_read_is_stale() {
    let server = start(service("stale"), 4);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    let mut newest = None;
    for round in 0..100 {
        let writer = round % clients.len();
        let body = json!({"userId": round, "parameters": {"numbers": [1]}}).to_string();
        let answer = clients[writer]
            .request("POST", &format!("{BASE}/tasks"), JSON, body.as_bytes())
            .expect("an answer");
        newest = parse(&answer)["task"]["taskId"].as_i64().max(newest);
        for client in &mut clients {
            let list = parse(
                &client
                    .get(&format!("{BASE}/tasks?limit=1"))
                    .expect("an answer"),
            );
            assert_eq!(list["tasks"][0]["taskId"].as_i64(), newest, "{list}");
        }
    }
}
