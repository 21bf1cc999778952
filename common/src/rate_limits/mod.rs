//! Rate limits: how many requests per time a client, the owner of a key, or everybody together may send.
//!
//! ```text
//!   file of rules --RulesFile--> RateLimitRule --RateLimitSet--> LimitedRule: BucketTable + LimitCounters
//!                                                              one per rule, in shared memory
//! ```
//!
//! The master reads the file and makes the memory, before it forks. Workers take from the buckets, and the admin process
//! reads the counters. What a request is counted under (the address, the path) is known to the worker, not here.

mod bucket_table;
mod limit_counters;
mod limited_rule;
mod outage_word;
mod rate_limit_set;
mod rule;
mod rules_file;

pub use bucket_table::{BucketKey, BucketTable, LimitVerdict};
pub use limit_counters::{LimitCounters, LimitSummary};
pub use limited_rule::LimitedRule;
pub use outage_word::OutageWord;
pub use rate_limit_set::{RateLimitError, RateLimitSet};
pub use rule::{LimitKey, RateLimitRule, ShownFields};
pub use rules_file::{RulesFile, RulesFileError};
