//! [`StoreFigures`]: how many tasks there are of each state, and how long the outbox is.

use std::time::Duration;

use crate::model::Status;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreFigures {
    /// In the order of [`Status::ALL`].
    pub(crate) tasks: [u64; Status::ALL.len()],
    /// Up to [`MOST_COUNTED`].
    pub(crate) outbox_length: u64,
    /// The age of its oldest event.
    pub(crate) outbox_age: Duration,
}

/// Events are counted one by one, so the count of a very long outbox ends here.
pub(super) const MOST_COUNTED: i64 = 100_000;

const LENGTH: &str = "outbox length";
const AGE: &str = "outbox age";

impl StoreFigures {
    /// The statement that both stores understand: rows of a name and a number. `now` is the present in milliseconds.
    pub(super) fn sql(now: &str) -> String {
        format!(
            "SELECT status, CAST(sum(count) AS BIGINT) FROM task_counts GROUP BY status
             UNION ALL
             SELECT '{LENGTH}', count(*) FROM (SELECT 1 FROM events LIMIT {MOST_COUNTED}) AS waiting
             UNION ALL
             SELECT '{AGE}', {now} - created_at
                 FROM (SELECT created_at FROM events ORDER BY event_id LIMIT 1) AS oldest"
        )
    }

    /// Adds one row. Names that are not known are left out.
    pub(super) fn add(&mut self, name: &str, number: i64) {
        let number = u64::try_from(number).unwrap_or_default();
        match name {
            LENGTH => self.outbox_length = number,
            AGE => self.outbox_age = Duration::from_millis(number),
            status => {
                let index = Status::ALL.iter().position(|it| it.as_str() == status);
                if let Some(index) = index {
                    self.tasks[index] = number;
                }
            }
        }
    }
}
