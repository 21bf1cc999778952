//! What this process has changed and Redis has not been told of.

use std::collections::HashSet;

/// With more keys than this, it is simpler to forget everything.
const MOST: usize = 10_000;

/// A key, and the mark under which its change was announced.
pub(super) type Debt = (String, String);

#[derive(Debug, Default)]
pub(super) struct Owed {
    debts: HashSet<Debt>,
    everything: bool,
}

impl Owed {
    pub(super) fn add(&mut self, debts: impl IntoIterator<Item = Debt>) {
        if !self.everything {
            self.debts.extend(debts);
        }
        if self.debts.len() > MOST {
            *self = Self::everything();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        if other.everything {
            *self = Self::everything();
        }
        self.add(other.debts);
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.debts.is_empty() && !self.everything
    }

    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    pub(super) fn debts(&self) -> Vec<&Debt> {
        self.debts.iter().collect()
    }

    fn everything() -> Self {
        Self {
            debts: HashSet::new(),
            everything: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_much_is_everything() {
        let mut owed = Owed::default();
        let debt = |number: usize| (format!("task:{number}"), "!".to_owned());
        assert!(owed.is_nothing());
        owed.add((0..MOST).map(debt));
        owed.add([debt(0)]);
        assert!(!owed.is_everything() && owed.debts().len() == MOST);
        owed.add([debt(MOST)]);
        assert!(owed.is_everything() && !owed.is_nothing() && owed.debts().is_empty());
        let mut other = Owed::default();
        other.add([debt(1)]);
        other.merge(owed);
        assert!(other.is_everything());
    }
}
