//! What the user sees: results on standard output, the rest on standard error. A reader that is gone is no error.

use std::cell::OnceCell;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::exit::CtlExit;
use super::units::printable;

#[derive(Debug)]
pub(super) struct Output {
    name: String,
    is_json: bool,
    /// Why the result could not be written.
    failure: OnceCell<io::Error>,
}

impl Output {
    pub(super) fn new(name: &str, is_json: bool) -> Self {
        Self {
            name: name.to_owned(),
            is_json,
            failure: OnceCell::new(),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    /// The result, as JSON or as `text`.
    pub(super) fn show(&self, data: &Value, text: impl FnOnce() -> String) {
        let shown = match self.is_json {
            true => format!("{data:#}"),
            false => text(),
        };
        let mut stdout = io::stdout();
        let written = writeln!(stdout, "{}", shown.trim_end()).and_then(|()| stdout.flush());
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = self.failure.set(error);
            }
            _ => {}
        }
    }

    /// What happens while the result is waited for.
    pub(super) fn progress(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", clean(text));
    }

    /// How a command ends: a result that nobody could see is none.
    pub(super) fn end(&self, exit: CtlExit) -> CtlExit {
        match self.failure.get() {
            None => exit,
            Some(error) => self.fail(
                CtlExit::Failed,
                &format!("cannot write to standard output: {error}"),
            ),
        }
    }

    /// There is no result.
    pub(super) fn fail(&self, exit: CtlExit, reason: &str) -> CtlExit {
        let _ = writeln!(io::stderr(), "{}: {}", self.name, clean(reason));
        if self.is_json {
            let answer = json!({"error": reason, "exit_code": exit as u8});
            let _ = writeln!(io::stdout(), "{answer:#}");
        }
        exit
    }
}

/// Text that may come from an application, such as a traceback: its lines stay lines.
fn clean(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_applications_keep_their_lines_and_control_no_terminal() {
        assert_eq!(
            clean("Traceback:\n  boom\u{1b}[31mred\r\n"),
            "Traceback:\n  boom\\u{1b}[31mred"
        );
    }
}
