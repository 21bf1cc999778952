//! Tasks as runners take and finish them.

use serde_json::json;

use crate::model::{NewTask, Priority, Status, TaskId, TaskType, Timestamp, UserRef};
use crate::store::testing::each;
use crate::store::{Lease, Now, Store};
use std::time::Duration;

fn add(store: &dyn Store, priority: Priority) -> TaskId {
    let new = NewTask {
        user_id: UserRef::from_stored("1"),
        task_type: TaskType::FileUpload,
        priority,
        parameters: Default::default(),
    };
    store
        .create_task(&new, Now::At(at(0)))
        .expect("a task")
        .task_id
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_000_000 + seconds * 1000)
}

fn take(store: &dyn Store, now: Timestamp) -> Option<Lease> {
    let taken = store.take_task(Now::At(now), Duration::ZERO);
    taken.expect("no error")
}

fn status(store: &dyn Store, id: TaskId) -> Status {
    let task = store.task(id).expect("no error").expect("a task");
    task.summary.status
}

#[test]
fn the_most_urgent_is_first_then_the_oldest() {
    each(|store| {
        let low = add(store, Priority::Low);
        let first = add(store, Priority::High);
        let second = add(store, Priority::High);
        let order: Vec<_> =
            std::iter::from_fn(|| take(store, at(0)).map(|lease| lease.id())).collect();
        assert_eq!(order, [first, second, low]);
    });
}

#[test]
fn a_task_is_taken_again_when_its_runner_is_gone_and_failed_the_fourth_time() {
    each(|store| {
        let id = add(store, Priority::Medium);
        let dead = take(store, at(0)).expect("a lease");
        assert_eq!(take(store, at(9)), None);
        assert!(store.renew_lease(&dead, Now::At(at(9))).expect("no error"));
        assert_eq!(take(store, at(18)), None);
        let next = take(store, at(19)).expect("a lease");
        assert_eq!((next.id(), next.attempt), (id, 2));
        assert!(!store.renew_lease(&dead, Now::At(at(20))).expect("no error"));
        assert!(
            !store
                .complete_task(&dead, &json!(1), 0.1, Now::At(at(20)))
                .expect("no error")
        );
        assert!(take(store, at(30)).is_some());
        assert_eq!(take(store, at(60)), None);
        assert_eq!(status(store, id), Status::Failed);
    });
}

#[test]
fn three_failures_are_the_end_and_one_is_when_it_is_final() {
    each(|store| {
        let id = add(store, Priority::Medium);
        for (attempt, second) in [(1, 0), (2, 1), (3, 3)] {
            assert_eq!(status(store, id), Status::Pending);
            let early = Timestamp(at(second).0 - 1);
            assert!(attempt == 1 || take(store, early).is_none(), "{attempt}");
            let lease = take(store, at(second)).expect("a lease");
            assert_eq!(lease.attempt, attempt);
            assert!(
                store
                    .fail_task(&lease, "why", false, 0.5, Now::At(at(second)))
                    .expect("no error")
            );
        }
        let task = store.task(id).expect("no error").expect("a task");
        assert_eq!(task.summary.status, Status::Failed);
        assert_eq!(task.error_message.as_deref(), Some("why"));
        assert_eq!(store.next_work(Now::At(at(9))).expect("no error"), None);

        let id = add(store, Priority::Medium);
        let lease = take(store, at(4)).expect("a lease");
        store
            .fail_task(&lease, "never", true, 0.5, Now::At(at(4)))
            .expect("no error");
        assert_eq!(status(store, id), Status::Failed);
    });
}

#[test]
fn what_was_cancelled_meanwhile_stays_so() {
    each(|store| {
        let id = add(store, Priority::Medium);
        let lease = take(store, at(0)).expect("a lease");
        assert!(
            store
                .note_progress(&lease, 40, Now::At(at(1)))
                .expect("no error")
        );
        store.cancel_task(id, Now::At(at(2))).expect("no error");
        assert!(
            !store
                .note_progress(&lease, 80, Now::At(at(3)))
                .expect("no error")
        );
        assert!(
            !store
                .complete_task(&lease, &json!({}), 1.0, Now::At(at(4)))
                .expect("no error")
        );
        assert_eq!(status(store, id), Status::Cancelled);
    });
}

#[test]
fn a_result_is_kept() {
    each(|store| {
        let id = add(store, Priority::Medium);
        let wait = store
            .next_work(Now::At(Timestamp(at(0).0 - 500)))
            .expect("no error");
        assert_eq!(wait, Some(Duration::from_millis(500)));
        let lease = take(store, at(0)).expect("a lease");
        let result = json!({"sum": 3});
        assert!(
            store
                .complete_task(&lease, &result, 0.25, Now::At(at(1)))
                .expect("no error")
        );
        let task = store.task(id).expect("no error").expect("a task");
        let kept = task.result.map(|it| it.parse().expect("a value"));
        assert_eq!((kept, task.processing_time), (Some(result), Some(0.25)));
        assert_eq!(
            (task.summary.progress, task.completed_at),
            (100, Some(at(1)))
        );
    });
}
