//! Times and texts as people read them.

/// Text of others, without what controls a terminal.
pub(super) fn printable(text: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A short time, in its own unit.
pub(super) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} us", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

/// A long time.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (days, hours) = (seconds / 86400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_of_their_size() {
        assert_eq!(time(Some(0.000_12)), "120 us");
        assert_eq!(time(Some(0.012)), "12.0 ms");
        assert_eq!(time(Some(61.04)), "61.0 s");
        assert_eq!(duration(59.9), "59 s");
        assert_eq!(duration(3725.0), "1 h 2 min");
        assert_eq!(duration(200_000.0), "2 d 7 h");
    }

    #[test]
    fn what_comes_from_clients_controls_no_terminal() {
        assert_eq!(printable("/a\u{1b}[2J\u{9b}"), "/a\\u{1b}[2J\\u{9b}");
    }
}
