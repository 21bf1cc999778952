//! [`RateLimitSet`]: the rules of one generation, with their memory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::limited_rule::LimitedRule;
use super::outage_word::OutageWord;

use super::rules_file::{RulesFile, RulesFileError};
use crate::Settings;
use crate::bounded_file::read_bounded;
use crate::settings::{Peers, RedisUrl};
use crate::status::RateLimitStatus;

#[derive(Debug, Clone)]
pub struct RateLimitSet {
    pub rules: Vec<LimitedRule>,
    /// Clients that no rule counts.
    pub allowed: Peers,
    /// Where all hosts count together.
    pub redis: Option<RedisUrl>,
    pub outage: OutageWord,
}

#[derive(Debug, thiserror::Error)]
pub enum RateLimitError {
    #[error("rate_limits: cannot read {}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{0}")]
    Wrong(RulesFileError),
    #[error("rate_limits: no shared memory")]
    Memory(#[from] io::Error),
    #[error(
        "rate_limit_redis has no effect without rate_limits: set rate_limits to a file of rules"
    )]
    RedisAlone,
}

impl RateLimitSet {
    /// Those that `settings` ask for. A rule that is in `before` already, those of the generation before, goes on counting.
    pub fn load(
        settings: &Settings,
        before: Option<&Self>,
    ) -> Result<Option<Arc<Self>>, RateLimitError> {
        let Some(file) = &settings.rate_limits.file else {
            return match settings.rate_limits.redis {
                Some(_) => Err(RateLimitError::RedisAlone),
                None => Ok(None),
            };
        };
        let read = Self::read(file)?;
        let before_rules = before.map_or(&[][..], |it| &it.rules);
        let rules = read.rules.into_iter();
        let rules = rules.map(|rule| LimitedRule::new(rule, before_rules));
        let redis = settings.rate_limits.redis.clone();
        let outage = match before.filter(|it| it.redis == redis) {
            Some(before) => before.outage.clone(),
            None => OutageWord::new()?,
        };
        Ok(Some(Arc::new(Self {
            rules: rules.collect::<io::Result<_>>()?,
            allowed: read.allowed,
            redis,
            outage,
        })))
    }

    /// What the rules have refused so far.
    pub fn report(&self) -> Vec<RateLimitStatus> {
        let report = |it: &LimitedRule| RateLimitStatus {
            rule: it.rule.name.clone(),
            refused: it.counters.refused(),
        };
        self.rules.iter().map(report).collect()
    }

    fn read(file: &Path) -> Result<RulesFile, RateLimitError> {
        let text = read_bounded(file)
            .and_then(|octets| String::from_utf8(octets).map_err(|_| not_text()))
            .map_err(|source| RateLimitError::Unreadable {
                file: file.to_owned(),
                source,
            })?;
        RulesFile::parse(&text, file).map_err(RateLimitError::Wrong)
    }
}

fn not_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8")
}
