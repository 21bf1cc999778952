//! All five kinds of work, and work that fails, over any backends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

/// A red and green image of two by two pixels.
pub(super) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEUlEQVR4nGP4z8DA8B+MgBgAHfAD/dPQfSYAAAAASUVORK5CYII=";

pub(super) fn all_five_kinds_of_work_are_done(backends: &Backends) {
    let server = start(patient(backends.service("work")), 1);
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

pub(super) fn a_new_task_is_taken_at_once(backends: &Backends) {
    // Without the bell a runner looks every half second: as each task is created just after the one before is done,
    // each would wait for that look. A busy machine may delay some of them.
    const BY_ITSELF: Duration = Duration::from_millis(250);
    let server = start(patient(backends.service("bell")), 1);
    let mut times = (0..200).map(|_| {
        let body = json!({"userId": 1, "parameters": {"numbers": [1]}});
        let began = Instant::now();
        wait_for_status(&server, create(&server, body), "completed");
        began.elapsed()
    });
    assert!(times.any(|time| time < BY_ITSELF), "none is taken at once");
}

pub(super) fn bad_parameters_fail_the_task_and_say_why(backends: &Backends) {
    let server = start(patient(backends.service("bad work")), 1);
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
