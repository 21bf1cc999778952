//! The settings of automatic scaling: what they mean together, and the rules that concern more than one of them.

use super::parse::MOST_WORKERS;
use super::values::Settings;

/// As given; 0 is "not set". [`Settings::worker_bounds`] and [`Settings::most_threads`] have what they mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScalingSettings {
    pub min_workers: usize,
    pub max_workers: usize,
    pub max_threads: usize,
}

/// Between which numbers of workers the server scales by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerBounds {
    pub least: usize,
    pub most: usize,
}

/// A value that does not go with the others, with the name of its setting and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScalingProblem {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) expected: String,
}

impl Settings {
    /// `None` if the number of workers is fixed.
    pub fn worker_bounds(&self) -> Option<WorkerBounds> {
        let ScalingSettings {
            min_workers,
            max_workers,
            ..
        } = self.scaling;
        (max_workers > 0).then_some(WorkerBounds {
            least: match min_workers {
                0 => self.workers,
                least => least,
            },
            most: max_workers,
        })
    }

    /// The request threads that a worker has: those that serve from the start, and those in reserve.
    pub fn most_threads(&self) -> usize {
        self.threads.max(self.scaling.max_threads)
    }
}

/// Where scaling begins if nobody has set `workers`: the default of that may be outside the bounds.
pub(super) fn settle(settings: &mut Settings, is_default: bool) {
    let ScalingSettings {
        min_workers,
        max_workers,
        ..
    } = settings.scaling;
    if is_default && max_workers > 0 {
        settings.workers = settings.workers.max(min_workers).min(max_workers);
    }
}

/// The first value that does not go with the others.
pub(super) fn find_problem(settings: &Settings) -> Option<ScalingProblem> {
    let ScalingSettings {
        min_workers,
        max_workers,
        max_threads,
    } = settings.scaling;
    let problem = |name, value: usize, expected| {
        Some(ScalingProblem {
            name,
            value: value.to_string(),
            expected,
        })
    };
    if max_threads > 0 && max_threads < settings.threads {
        let expected = format!("threads, which is {}, or more; or 0", settings.threads);
        return problem("max_threads", max_threads, expected);
    }
    let room = MOST_WORKERS - settings.runners;
    match settings.worker_bounds() {
        None if min_workers > 0 => {
            let expected = "a max_workers beside it: together they turn on automatic scaling";
            problem("min_workers", min_workers, expected.to_owned())
        }
        None => None,
        Some(_) if max_workers > room => {
            let runners = settings.runners;
            let expected = format!("{room} at most with runners = {runners}");
            problem("max_workers", max_workers, expected)
        }
        Some(_) if min_workers > max_workers => {
            let expected = format!("{max_workers} at most, which is max_workers");
            problem("min_workers", min_workers, expected)
        }
        Some(WorkerBounds { least, most }) if !(least..=most).contains(&settings.workers) => {
            let expected = match min_workers {
                0 => format!("{most} at most, which is max_workers"),
                _ => format!("a number from {least} (min_workers) to {most} (max_workers)"),
            };
            problem("workers", settings.workers, expected)
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(workers: usize, min_workers: usize, max_workers: usize) -> Settings {
        Settings {
            workers,
            scaling: ScalingSettings {
                min_workers,
                max_workers,
                max_threads: 0,
            },
            ..Settings::default()
        }
    }

    #[test]
    fn the_number_is_fixed_without_a_maximum() {
        assert_eq!(with(3, 0, 0).worker_bounds(), None);
        let bounds = |least, most| Some(WorkerBounds { least, most });
        assert_eq!(with(3, 0, 8).worker_bounds(), bounds(3, 8));
        assert_eq!(with(3, 2, 8).worker_bounds(), bounds(2, 8));
    }

    #[test]
    fn what_does_not_go_together_names_the_setting() {
        let name = |settings: &Settings| find_problem(settings).map(|it| it.name);
        assert_eq!(name(&with(3, 2, 8)), None);
        assert_eq!(name(&with(3, 2, 0)), Some("min_workers"));
        assert_eq!(name(&with(3, 9, 8)), Some("min_workers"));
        assert_eq!(name(&with(9, 2, 8)), Some("workers"));
        assert_eq!(name(&with(9, 0, 8)), Some("workers"));
        assert_eq!(name(&with(1, 2, 8)), Some("workers"));
        let mut crowded = with(2, 2, MOST_WORKERS);
        crowded.runners = 4;
        let problem = find_problem(&crowded).expect("too many");
        assert_eq!(problem.expected, "246 at most with runners = 4");
    }

    #[test]
    fn a_worker_has_the_threads_that_serve_and_those_in_reserve() {
        let mut settings = with(1, 0, 0);
        settings.threads = 4;
        assert_eq!(settings.most_threads(), 4);
        settings.scaling.max_threads = 16;
        assert_eq!(
            (settings.most_threads(), find_problem(&settings)),
            (16, None)
        );
        settings.scaling.max_threads = 3;
        let problem = find_problem(&settings).expect("fewer than threads");
        assert_eq!((problem.name, &*problem.value), ("max_threads", "3"));
        assert_eq!(problem.expected, "threads, which is 4, or more; or 0");
    }

    #[test]
    fn a_default_moves_into_the_bounds() {
        let mut settings = with(1, 2, 8);
        settle(&mut settings, true);
        assert_eq!((settings.workers, find_problem(&settings)), (2, None));
        let mut given = with(1, 2, 8);
        settle(&mut given, false);
        assert_eq!(given.workers, 1);
    }
}
