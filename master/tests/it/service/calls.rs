//! Every call, and the response to invalid ones, over any backends.

use serde_json::json;

use super::*;

pub(super) fn a_task_is_created_listed_and_found(backends: &Backends) {
    let server = start(patient(backends.service("tasks")), 2);
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

pub(super) fn errors_say_what_is_wrong(backends: &Backends) {
    let server = start(patient(backends.service("errors")), 1);
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

pub(super) fn a_task_can_be_cancelled_once(backends: &Backends) {
    // No runner: the task stays where it is.
    let server = patient(backends.service("cancel"))
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

pub(super) fn users_and_sessions_live_and_end(backends: &Backends) {
    let server = start(patient(backends.service("users")), 2);
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
