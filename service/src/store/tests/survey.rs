//! The figures that a store gives of itself.

use std::time::Duration;

use crate::model::{NewTask, Status, TaskType, Timestamp, UserRef};
use crate::store::testing::each;
use crate::store::{Now, StoreFigures};

#[test]
fn tasks_are_counted_by_state_and_the_outbox_with_its_oldest_event() {
    each(|store| {
        assert_eq!(store.survey().expect("figures"), StoreFigures::default());
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::FileUpload,
            priority: Default::default(),
            parameters: Default::default(),
        };
        let hour = Duration::from_secs(3600);
        let an_hour_ago = Timestamp(Timestamp::now().0 - 3_600_000);
        let ids: Vec<i64> = (0..5)
            .map(|_| {
                store
                    .create_task(&new, Now::At(an_hour_ago))
                    .expect("a task")
                    .task_id
            })
            .collect();
        store.cancel_task(ids[0], Now::Store).expect("a task");
        let taken = store.take_task(Now::Store, Duration::ZERO);
        assert!(taken.expect("no error").is_some());
        let figures = store.survey().expect("figures");
        let of = |status| {
            let index = Status::ALL.iter().position(|it| *it == status);
            figures.tasks[index.expect("a state")]
        };
        let counts = [Status::Pending, Status::Processing, Status::Cancelled].map(of);
        assert_eq!((counts, figures.tasks.iter().sum()), ([3, 1, 1], 5));
        // Five were created, one was cancelled.
        assert_eq!(figures.outbox_length, 6);
        let age = figures.outbox_age;
        assert!(
            age >= hour - Duration::from_secs(60) && age < hour * 2,
            "{age:?}"
        );
        let events = store.outbox(10).expect("events");
        let ids: Vec<i64> = events.iter().map(|event| event.event_id).collect();
        store.remove_events(&ids).expect("removed");
        let figures = store.survey().expect("figures");
        assert_eq!(
            (figures.outbox_length, figures.outbox_age),
            (0, Duration::ZERO)
        );
    });
}
