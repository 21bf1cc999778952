//! The log lines of an outage: one at its beginning, one at its end.

use crate::harness::{Server, eventually};

/// A backend as the log names it, and the number of its outages so far.
#[derive(Debug)]
pub(super) struct Outage<'a> {
    server: &'a Server,
    backend: &'static str,
    known: usize,
}

impl<'a> Outage<'a> {
    pub(super) fn of(server: &'a Server, backend: &'static str) -> Self {
        Self {
            server,
            backend,
            known: 0,
        }
    }

    /// Waits until the beginning of an outage is logged.
    pub(super) fn begins(&mut self) {
        self.known += 1;
        eventually(&format!("{} is missed", self.backend), || {
            (self.begun() >= self.known).then_some(())
        });
    }

    /// Waits until its end is logged.
    pub(super) fn ends(&self) {
        eventually(&format!("{} is back", self.backend), || {
            (self.ended() >= self.known).then_some(())
        });
    }

    /// Accepts an outage that was noticed or not, because the backend came back at once.
    pub(super) fn may_have_been(&mut self) {
        eventually(&format!("{} is back", self.backend), || {
            (self.begun() == self.ended()).then_some(())
        });
        let begun = self.begun();
        assert!(begun <= self.known + 1, "{}", self.text());
        self.known = begun;
    }

    /// Waits until the backend is back. On a slow machine it may refuse for a moment after that, which is another outage.
    pub(super) fn is_over(&mut self) {
        self.ends();
        eventually(&format!("{} is back", self.backend), || {
            (self.begun() == self.ended()).then_some(())
        });
        self.known = self.begun();
    }

    /// No outage was logged twice, and neither was its end.
    pub(super) fn assert_told_in_turn(&self) {
        let lines = self.text();
        for (index, line) in lines.lines().enumerate() {
            let expected = ["does not answer: ", "answers again"][index % 2];
            assert!(line.contains(expected), "{lines}");
        }
    }

    /// Each outage was logged once, and so was its end.
    pub(super) fn assert_told_once(&self) {
        let told = (self.begun(), self.ended());
        assert_eq!(told, (self.known, self.known), "{}", self.text());
    }

    fn begun(&self) -> usize {
        self.count("does not answer: ")
    }

    fn ended(&self) -> usize {
        self.count("answers again")
    }

    fn count(&self, what: &str) -> usize {
        let lines = self.server.log().lines();
        let named = lines.iter().filter(|line| line.contains(self.backend));
        named.filter(|line| line.contains(what)).count()
    }

    fn text(&self) -> String {
        let lines = self.server.log().lines();
        let named: Vec<_> = lines
            .into_iter()
            .filter(|it| it.contains(self.backend))
            .collect();
        named.join("\n")
    }
}
