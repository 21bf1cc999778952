//! What an application counts itself: its metrics, the shared memory that they live in, and the handles that write them.
//!
//! ```text
//!   Application::metrics()      names, help, labels, bounds: constants of the program
//!     -> MetricMemory::place    checked, and each series given its words: by the master, at the start and at each reload
//!     -> Metrics                in a child: the handles, which write to the words of the child's own slot
//!     -> MetricMemory::report   the sums over all children, the dead included where nothing may fall
//! ```

mod catalog;
mod catalog_lock;
mod check;
mod definition;
mod handles;
mod memory;
mod report;

pub use catalog::MetricPlaces;
pub use check::{MetricError, check};
pub use definition::{Metric, MetricKind, MetricLabel};
pub use handles::{CounterHandle, GaugeHandle, HistogramHandle, Metrics, SeriesName};
pub use memory::MetricMemory;
