//! Tasks as clients ask for them.

use serde_json::json;

use crate::model::{NewTask, Status, TaskFilter, TaskType, Timestamp, UserRef};
use crate::store::testing::each;
use crate::store::{Now, Unsent};
use std::time::Duration;

fn new(user: serde_json::Value, task_type: TaskType) -> NewTask {
    NewTask {
        user_id: serde_json::from_value::<UserRef>(user).expect("a user"),
        task_type,
        priority: Default::default(),
        parameters: Default::default(),
    }
}

#[test]
fn tasks_count_from_1000_and_lists_are_newest_first() {
    each(|store| {
        let now = Timestamp::now();
        for user in [json!(7), json!("7"), json!("anna")] {
            store
                .create_task(&new(user, TaskType::DataExport), Now::At(now))
                .expect("a task");
        }
        let ids = |filter: &TaskFilter, limit, offset| {
            let page = store.tasks(filter, limit, offset).expect("a page");
            let ids: Vec<_> = page.tasks.iter().map(|task| task.task_id).collect();
            (ids, page.total)
        };
        let all = TaskFilter::default();
        assert_eq!(ids(&all, 50, 0), (vec![1002, 1001, 1000], 3));
        assert_eq!(ids(&all, 1, 1), (vec![1001], 3));
        let user = |id| TaskFilter {
            user_id: Some(UserRef::stored_forms(id)),
            ..TaskFilter::default()
        };
        assert_eq!(ids(&user("7"), 50, 0), (vec![1001, 1000], 2));
        assert_eq!(ids(&user("anna"), 50, 0), (vec![1002], 1));
        let other = TaskFilter {
            task_type: Some(TaskType::FileUpload),
            status: Some(Status::Pending),
            ..user("7")
        };
        assert_eq!(ids(&other, 50, 0), (vec![], 0));
        let task = store.task(1002).expect("a look").expect("a task");
        assert_eq!(task.summary.user_id, UserRef::from_stored("\"anna\""));
        assert!(
            task.summary
                .task_reference
                .starts_with(&format!("TASK{}", now.day()))
        );
        assert_eq!(task.summary.task_reference.len(), 4 + 8 + 8);
    });
}

#[test]
fn a_task_is_cancelled_once() {
    each(|store| {
        let now = Timestamp::now();
        let id = store
            .create_task(&new(json!(1), TaskType::DataExport), Now::At(now))
            .expect("a task")
            .task_id;
        let cancel = |id| {
            let outcome = store.cancel_task(id, Now::At(now)).expect("no error");
            outcome.map(|(task, done)| (task.summary.status, done))
        };
        assert_eq!(cancel(id), Some((Status::Cancelled, true)));
        assert_eq!(cancel(id), Some((Status::Cancelled, false)));
        assert_eq!(cancel(id + 1), None);
        let unsent = Unsent {
            count: 2,
            are_awaited: false,
        };
        assert_eq!(store.unsent_events().expect("no error"), unsent);
        let drop = |age| store.drop_events(Duration::from_secs(age), 10);
        assert_eq!(drop(60).expect("no error"), 0);
    });
}

#[test]
fn totals_follow_every_change() {
    each(|store| {
        let now = Timestamp::now();
        for task_type in [
            TaskType::DataExport,
            TaskType::DataExport,
            TaskType::FileUpload,
        ] {
            store
                .create_task(&new(json!(1), task_type), Now::At(now))
                .expect("a task");
        }
        store.cancel_task(1000, Now::At(now)).expect("no error");
        let lease = store
            .take_task(Now::At(now), Duration::ZERO)
            .expect("no error")
            .expect("a lease");
        let filters = |user_id: Option<[String; 2]>| {
            [
                (None, None, 3),
                (Some(Status::Pending), None, 1),
                (Some(Status::Processing), Some(TaskType::DataExport), 1),
                (Some(Status::Cancelled), Some(TaskType::FileUpload), 0),
                (None, Some(TaskType::DataExport), 2),
            ]
            .map(|(status, task_type, total)| {
                let user_id = user_id.clone();
                let filter = TaskFilter {
                    status,
                    task_type,
                    user_id,
                };
                (filter, total)
            })
        };
        let everyone = filters(None).into_iter();
        for (filter, total) in everyone.chain(filters(Some(UserRef::stored_forms("1")))) {
            let page = store.tasks(&filter, 50, 0).expect("a page");
            let listed = i64::try_from(page.tasks.len()).expect("few");
            assert_eq!((page.total, listed), (total, total), "{filter:?}");
        }
        assert_eq!(lease.attempt, 1);
    });
}
