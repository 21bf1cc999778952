//! What could not be handed to a receiver of log lines: counted by all processes together, told
//! once when it begins and once when it has ended.
//!
//! ```text
//!   fine --first loss--> told --a delivery, and no loss for CALM--> told of the end, and fine
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::scoreboard::now_millis;
use crate::sys::Mapping;

/// A receiver that is full now and then has one long trouble, not many short ones.
const CALM_MILLIS: u64 = 5000;

/// Zero is fine.
#[repr(C)]
pub(crate) struct LossWords {
    lost: AtomicU64,
    last_loss: AtomicU64,
    last_delivery: AtomicU64,
    told: AtomicU32,
    /// The last line that was written is not whole.
    cut: AtomicU32,
    errno: AtomicI32,
}

/// The losses on the way to one receiver; forked copies share them.
#[derive(Clone)]
pub(super) struct Losses(Arc<Mapping<LossWords>>);

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Losses have begun; the reason is that of the latest one.
    Begun { reason: String },
    /// Nothing is lost any more.
    Ended { lost: u64 },
}

impl Losses {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Mapping::new()?)))
    }

    pub(super) fn note_loss(&self, reason: &io::Error) {
        let words = &self.0;
        let errno = reason.raw_os_error().unwrap_or(0);
        words.errno.store(errno, Ordering::Relaxed);
        words.last_loss.store(now_millis(), Ordering::Relaxed);
        words.lost.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn note_cut(&self) {
        self.0.cut.store(1, Ordering::Release);
    }

    /// Whether a line was cut since the last call, by whichever process.
    pub(super) fn take_cut(&self) -> bool {
        self.0.cut.load(Ordering::Acquire) != 0 && self.0.cut.swap(0, Ordering::AcqRel) != 0
    }

    /// Whether the last loss is so recent that waiting once more is not worth it.
    pub(super) fn is_losing(&self) -> bool {
        let last = self.0.last_loss.load(Ordering::Relaxed);
        last != 0 && now_millis().saturating_sub(last) < CALM_MILLIS
    }

    pub(super) fn note_delivery(&self) {
        if self.0.lost.load(Ordering::Relaxed) > 0 {
            self.0.last_delivery.store(now_millis(), Ordering::Relaxed);
        }
    }

    /// What is to be told, to one process only.
    pub(super) fn news(&self) -> Option<News> {
        self.news_at(now_millis())
    }

    fn news_at(&self, now: u64) -> Option<News> {
        let words = &self.0;
        if words.lost.load(Ordering::Acquire) == 0 {
            return None;
        }
        let turn = |from, to| {
            let turned = words
                .told
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
            turned.is_ok()
        };
        if turn(0, 1) {
            let reason = match words.errno.load(Ordering::Relaxed) {
                0 => "it does not keep up".to_owned(),
                errno => io::Error::from_raw_os_error(errno).to_string(),
            };
            return Some(News::Begun { reason });
        }
        let last_loss = words.last_loss.load(Ordering::Relaxed);
        let delivers = words.last_delivery.load(Ordering::Relaxed) > last_loss;
        if delivers && now.saturating_sub(last_loss) >= CALM_MILLIS && turn(1, 2) {
            let lost = words.lost.swap(0, Ordering::AcqRel);
            words.told.store(0, Ordering::Release);
            return Some(News::Ended { lost });
        }
        None
    }
}

impl std::fmt::Debug for Losses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Losses({})", self.0.lost.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_told_once() {
        let losses = Losses::new().expect("memory");
        let elsewhere = losses.clone();
        let now = now_millis();
        assert_eq!(losses.news(), None);
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        losses.note_loss(&refused);
        elsewhere.note_loss(&refused);
        let reason = refused.to_string();
        assert_eq!(elsewhere.news(), Some(News::Begun { reason }));
        assert_eq!((losses.news(), elsewhere.news()), (None, None));
        let late = now + 2 * CALM_MILLIS;
        assert_eq!(losses.news_at(late), None, "nothing is delivered yet");
        losses.0.last_delivery.store(now + 100, Ordering::Relaxed);
        assert_eq!(losses.news_at(now + 100), None, "too early to tell");
        assert_eq!(losses.news_at(late), Some(News::Ended { lost: 2 }));
        assert_eq!(elsewhere.news_at(late), None);
    }
}
