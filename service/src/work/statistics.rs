//! Statistics of a list of numbers.

use serde::Serialize;

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statistics {
    count: usize,
    sum: f64,
    min: f64,
    max: f64,
    mean: f64,
    median: f64,
    /// Of a sample: divided by n - 1. `None` for fewer than two numbers.
    standard_deviation: Option<f64>,
    p95: f64,
    p99: f64,
}

/// Why some numbers have no statistics.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum NoStatistics {
    #[error("is empty")]
    Empty,
    /// JSON has no infinity: a client would see null.
    #[error("has numbers too large to sum up or to compare")]
    TooLarge,
}

impl Statistics {
    /// The statistics of finite numbers.
    pub(super) fn of(mut numbers: Vec<f64>) -> Result<Self, NoStatistics> {
        numbers.sort_unstable_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (numbers.first(), numbers.last()) else {
            return Err(NoStatistics::Empty);
        };
        let (mean, squares) = moments(&numbers);
        let count = numbers.len();
        let statistics = Self {
            count,
            sum: sum(&numbers),
            min,
            max,
            mean,
            median: quantile(&numbers, 0.5),
            standard_deviation: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            p95: quantile(&numbers, 0.95),
            p99: quantile(&numbers, 0.99),
        };
        if statistics.is_finite() {
            Ok(statistics)
        } else {
            Err(NoStatistics::TooLarge)
        }
    }

    fn is_finite(&self) -> bool {
        let deviation = self.standard_deviation.unwrap_or_default();
        [
            self.sum,
            self.mean,
            self.median,
            deviation,
            self.p95,
            self.p99,
        ]
        .iter()
        .all(|number| number.is_finite())
    }
}

/// Mean, and the sum of squared distances from it, in one pass without cancellation (Welford).
fn moments(numbers: &[f64]) -> (f64, f64) {
    let (mut mean, mut squares) = (0.0, 0.0);
    for (before, number) in numbers.iter().enumerate() {
        let distance = number - mean;
        mean += distance / (before + 1) as f64;
        squares += distance * (number - mean);
    }
    (mean, squares)
}

/// The sum with what rounding lost added at the end (Neumaier).
fn sum(numbers: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for &number in numbers {
        let next = sum + number;
        lost += if sum.abs() >= number.abs() {
            (sum - next) + number
        } else {
            (number - next) + sum
        };
        sum = next;
    }
    sum + lost
}

/// Between the two nearest ranks, in proportion; `sorted` is not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_textbook() {
        let four = Statistics::of(vec![4.0, 1.0, 3.0, 2.0]).expect("numbers");
        assert_eq!(
            (four.count, four.sum, four.min, four.max),
            (4, 10.0, 1.0, 4.0)
        );
        assert_eq!((four.mean, four.median), (2.5, 2.5));
        let deviation = four.standard_deviation.expect("two or more");
        assert!((deviation - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(
            Statistics::of(vec![5.0]).map(|it| it.standard_deviation),
            Ok(None)
        );
        assert_eq!(Statistics::of(Vec::new()), Err(NoStatistics::Empty));
    }

    #[test]
    fn what_overflows_is_an_error() {
        for numbers in [
            vec![1.7e308, 1.7e308],
            vec![-1.7e308, 1.7e308],
            vec![1e200, -1e200],
        ] {
            assert_eq!(Statistics::of(numbers), Err(NoStatistics::TooLarge));
        }
    }

    #[test]
    fn small_differences_of_large_numbers_survive() {
        let large = Statistics::of(vec![1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        let deviation = large
            .ok()
            .and_then(|it| it.standard_deviation)
            .expect("numbers");
        assert!((deviation - 30.0_f64.sqrt()).abs() < 1e-6, "{deviation}");
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
    }
}
