//! Another number of threads that serve, and why.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ThreadChange {
    /// Requests wait, and so do the threads.
    More {
        serving: usize,
        /// The share of the time in which requests have waited.
        waited: f64,
        /// Processors that the process has wanted.
        demand: f64,
    },
    /// More threads have not served more requests.
    Vain { serving: usize },
    /// The threads compute.
    Computing {
        serving: usize,
        /// Processors that the process has used.
        used: f64,
    },
    /// Threads have had nothing to do.
    Unneeded {
        serving: usize,
        /// The most threads that were busy at once.
        peak: usize,
    },
}

impl ThreadChange {
    pub(super) fn serving(&self) -> usize {
        match *self {
            Self::More { serving, .. }
            | Self::Vain { serving }
            | Self::Computing { serving, .. }
            | Self::Unneeded { serving, .. } => serving,
        }
    }

    /// The line for the log, of a worker that has so many threads.
    pub(super) fn line(&self, all: usize) -> String {
        let per_cent = |share: f64| share * 100.0;
        let reason = match *self {
            Self::More { waited, demand, .. } => format!(
                "requests have waited for {:.0} % of the time, while the worker wanted {:.0} % of one processor",
                per_cent(waited),
                per_cent(demand),
            ),
            Self::Vain { .. } => "more have not served more requests".to_owned(),
            Self::Computing { used, .. } => format!(
                "they compute, and have used {:.0} % of one processor",
                per_cent(used)
            ),
            Self::Unneeded { peak, .. } => format!("at most {peak} were needed in 10 s"),
        };
        let serving = self.serving();
        format!("{serving} of {all} threads serve now (max_threads): {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_have_the_figures() {
        let more = ThreadChange::More {
            serving: 3,
            waited: 0.93,
            demand: 0.041,
        };
        let line = more.line(8);
        assert!(line.starts_with("3 of 8 threads serve now (max_threads): requests"));
        assert!(
            line.contains("93 %") && line.ends_with("4 % of one processor"),
            "{line}"
        );
        let fewer = ThreadChange::Unneeded {
            serving: 2,
            peak: 1,
        };
        assert!(fewer.line(8).ends_with("at most 1 were needed in 10 s"));
    }
}
