//! [`LimitedRule`]: a rule with its memory.

use std::io;

use super::bucket_table::BucketTable;
use super::limit_counters::LimitCounters;
use super::rule::RateLimitRule;

#[derive(Debug, Clone)]
pub struct LimitedRule {
    pub rule: RateLimitRule,
    pub table: BucketTable,
    pub counters: LimitCounters,
}

impl LimitedRule {
    /// With the memory that the rule has in `before`, the generation before, if it is the same rule.
    pub(super) fn new(rule: RateLimitRule, before: &[Self]) -> io::Result<Self> {
        let named = before.iter().find(|it| it.rule.name == rule.name);
        let same = named.filter(|it| it.rule.counts_as(&rule));
        Ok(Self {
            table: match same {
                Some(same) => same.table.clone(),
                None => BucketTable::new(&rule)?,
            },
            counters: match named {
                Some(named) => named.counters.clone(),
                None => LimitCounters::new()?,
            },
            rule,
        })
    }
}
