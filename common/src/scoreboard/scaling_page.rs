//! The master's words on automatic scaling: its bounds, and its last decision.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::scaling_cause::ScalingCause;
use super::text_cell::{TextCell, text_words};

const FLOOR: usize = 0;
/// 0 if the number of workers is fixed.
const MOST: usize = 1;
const LAST: usize = 2;
/// Words for time, cause, and the numbers of workers before and after.
const LAST_ROOMS: [usize; 4] = [1; 4];
pub(super) const SCALING_WORDS: usize = LAST + text_words(LAST_ROOMS);

/// A decision of automatic scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalingRecord {
    /// Unix time.
    pub at: f64,
    pub cause: ScalingCause,
    /// The numbers of workers before and after.
    pub from: usize,
    pub to: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct ScalingPage<'a>(&'a [AtomicU64]);

impl<'a> ScalingPage<'a> {
    /// `words` are [`SCALING_WORDS`].
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    /// The fewest and the most workers; `None` if their number is fixed.
    pub fn bounds(self) -> Option<(usize, usize)> {
        let [floor, most] = [FLOOR, MOST].map(|word| self.0[word].load(Ordering::Relaxed) as usize);
        (most > 0).then_some((floor, most))
    }

    pub fn set_bounds(self, bounds: Option<(usize, usize)>) {
        let (floor, most) = bounds.unwrap_or_default();
        self.0[FLOOR].store(floor as u64, Ordering::Relaxed);
        self.0[MOST].store(most as u64, Ordering::Relaxed);
    }

    /// The last decision of this master; `None` before the first.
    pub fn last(self) -> Option<ScalingRecord> {
        let words = self.cell().read()?.map(<[u8; 8]>::try_from);
        let [Ok(at), Ok(cause), Ok(from), Ok(to)] = words else {
            return None;
        };
        let number = |octets| usize::try_from(u64::from_ne_bytes(octets)).ok();
        Some(ScalingRecord {
            at: f64::from_ne_bytes(at),
            cause: *ScalingCause::ALL.get(number(cause)?)?,
            from: number(from)?,
            to: number(to)?,
        })
    }

    pub(super) fn set_last(self, cause: ScalingCause, from: usize, to: usize) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0.0, |age| age.as_secs_f64());
        self.cell().write([
            &now.to_ne_bytes(),
            &(cause as u64).to_ne_bytes(),
            &(from as u64).to_ne_bytes(),
            &(to as u64).to_ne_bytes(),
        ]);
    }

    fn cell(self) -> TextCell<'a, 4> {
        TextCell::new(&self.0[LAST..], LAST_ROOMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decision_is_kept_whole() {
        let words: Vec<AtomicU64> = (0..SCALING_WORDS).map(|_| AtomicU64::new(0)).collect();
        let page = ScalingPage::new(&words);
        assert_eq!((page.bounds(), page.last()), (None, None));
        page.set_bounds(Some((2, 8)));
        page.set_last(ScalingCause::Queue, 2, 4);
        page.set_last(ScalingCause::Idle, 4, 3);
        let last = page.last().expect("a decision");
        assert_eq!((last.cause, last.from, last.to), (ScalingCause::Idle, 4, 3));
        assert!(last.at > 1e9 && page.bounds() == Some((2, 8)));
        page.set_bounds(None);
        assert_eq!(page.bounds(), None);
    }
}
