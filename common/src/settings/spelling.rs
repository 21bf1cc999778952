//! Suggests the setting that a misspelled name was meant for.

use super::served::Served;

/// The setting whose name differs by one typing error; by two if the name is long.
pub(super) fn nearest(name: &str, served: Served) -> Option<&'static str> {
    let most = if name.len() < 9 { 1 } else { 2 };
    let names = served.rows().map(|row| row.name);
    let near = names.map(|known| (distance(name, known), known));
    let (slips, known) = near.min()?;
    (name.len() > 3 && slips <= most).then_some(known)
}

/// The number of letters to insert, remove, change, or swap with the next, to turn one name into the other
/// (Damerau and Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let change = row[j] + usize::from(a != b);
            let mut least = change.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_found() {
        let nearest = |name| nearest(name, Served::Python);
        assert_eq!(nearest("worker"), Some("workers"));
        assert_eq!(nearest("max_request_jiter"), Some("max_requests_jitter"));
        assert_eq!(nearest("when_readi"), Some("when_ready"));
        for name in ["os", "cores", "host", "bindings", "worker_count", "runner"] {
            assert_eq!(nearest(name), None, "{name}");
        }
    }
}
