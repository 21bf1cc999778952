//! A record of the error log as a JSON object, with OpenTelemetry's names.
//!
//! Text of several lines stays one object. A traceback of Python in it, and the stack of a thread, become members of
//! their own.

use super::child_facts;
use super::json_object::JsonObject;
use super::level::Level;
use super::log_time::LogTime;
use super::request_tag::RequestTag;

/// How Python's tracebacks begin, after what an exception group puts before it.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// How the first line of a record ends that has the stack of a thread below.
const STACK: &str = " is at:";

/// What a record says.
#[derive(Debug, Clone)]
pub struct ErrorObject<'a> {
    pub at: LogTime,
    pub severity: &'a str,
    pub message: &'a str,
    /// The name of the logger, if it is another one than the server's.
    pub logger: Option<&'a str>,
    pub exception: Option<ExceptionText<'a>>,
    /// The request that it is about.
    pub tag: RequestTag,
    /// Further members, which are JSON already, with commas between them.
    pub members: &'a str,
}

/// An exception as text; what is not known is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExceptionText<'a> {
    pub kind: &'a str,
    pub message: &'a str,
    pub traceback: &'a str,
}

impl<'a> ErrorObject<'a> {
    /// A record of the server itself.
    pub(super) fn of(level: Level, text: &'a str) -> Self {
        let (message, exception) = match ExceptionText::find(text) {
            Some((before, found)) => (before, Some(found)),
            None => (text, None),
        };
        Self {
            at: LogTime::now(),
            severity: level.as_str(),
            message,
            logger: None,
            exception,
            tag: RequestTag::current(),
            members: "",
        }
    }

    /// The object, without a line feed.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 256);
        let mut object = JsonObject::begin(&mut out);
        object.quoted("timestamp", |out| self.at.append(out));
        object.text("severity", self.severity);
        let stack = self.message.split_once('\n');
        match stack.filter(|(first, _)| self.exception.is_none() && first.ends_with(STACK)) {
            Some((first, stack)) => {
                object.text("message", first);
                object.text("code.stacktrace", stack);
            }
            None => object.text("message", self.message),
        }
        if let Some(exception) = self.exception {
            let parts = [
                ("exception.type", exception.kind),
                ("exception.message", exception.message),
                ("exception.stacktrace", exception.traceback),
            ];
            for (key, value) in parts.into_iter().filter(|(_, value)| !value.is_empty()) {
                object.text(key, value);
            }
        }
        if let Some(name) = self.logger {
            object.text("logger", name);
        }
        self.tag.describe(&mut object);
        child_facts::describe(&mut object, std::process::id());
        object.members(self.members);
        object.end();
        out
    }
}

impl<'a> ExceptionText<'a> {
    /// Finds a traceback of Python in `text`. Also returns the text before it.
    pub fn find(text: &'a str) -> Option<(&'a str, Self)> {
        let at = text.find(TRACEBACK)?;
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let traceback = text[start..].trim_end();
        // Exceptions that caused the last one come first.
        let last = traceback.rfind(TRACEBACK)? + TRACEBACK.len();
        let lines = traceback[last..].match_indices('\n');
        let ends = lines.map(|(at, _)| last + at + 1);
        let mut ends = ends.filter(|&at| !traceback[at..].starts_with([' ', '\n']));
        let raised = ends.next().map_or("", |at| &traceback[at..]);
        let (kind, message) = raised.split_once(": ").unwrap_or((raised, ""));
        let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '.';
        let is_known = !kind.is_empty() && kind.chars().all(is_name);
        let (kind, message) = if is_known { (kind, message) } else { ("", "") };
        let found = Self {
            kind,
            message,
            traceback,
        };
        Some((text[..start].trim_end(), found))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn object(text: &str) -> Value {
        let json = ErrorObject::of(Level::Error, text).to_json();
        assert!(!json.contains(&b'\n'));
        serde_json::from_slice(&json).expect("JSON")
    }

    #[test]
    fn a_record_of_several_lines_is_one_object() {
        let value = object("one\ntwo \"quoted\" \u{1b}[31m");
        assert_eq!(value["message"], "one\ntwo \"quoted\" \u{1b}[31m");
        assert_eq!(value["severity"], "ERROR");
        assert_eq!(value["process.pid"], std::process::id());
        let time = value["timestamp"].as_str().expect("a text");
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        assert_eq!(value.get("exception.stacktrace"), None);
        assert_eq!(value.get("request_id"), None);
    }

    #[test]
    fn a_traceback_has_its_members() {
        let first = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    x()\nKeyError: 'a'\n";
        let between = "\nDuring handling of the above exception, another exception occurred:\n\n";
        let second = "Traceback (most recent call last):\n  File \"a.py\", line 3, in g\n    raise E\nshop.Error: two\n  lines: of it";
        let value = object(&format!(
            "Error handling request GET /\n{first}{between}{second}"
        ));
        assert_eq!(value["message"], "Error handling request GET /");
        assert_eq!(value["exception.type"], "shop.Error");
        assert_eq!(value["exception.message"], "two\n  lines: of it");
        assert_eq!(
            value["exception.stacktrace"],
            format!("{first}{between}{second}")
        );
        let value = object(first);
        assert_eq!(value["exception.type"], "KeyError");
        let bare = object("x\nTraceback (most recent call last):\n  File \"a\"\nSystemExit");
        assert_eq!(bare["exception.type"], "SystemExit");
        assert_eq!(bare.get("exception.message"), None);
        let group = "x\n  + Exception Group Traceback (most recent call last):\n  |   File \"a\"\n  | ExceptionGroup: a";
        let value = object(group);
        assert_eq!(value["message"], "x");
        assert_eq!(value["exception.stacktrace"], group[2..]);
        assert_eq!(value.get("exception.type"), None);
    }

    #[test]
    fn the_stack_of_a_thread_has_its_member() {
        let value = object("request timed out; thread 7 is at:\n  f\n  g");
        assert_eq!(value["message"], "request timed out; thread 7 is at:");
        assert_eq!(value["code.stacktrace"], "  f\n  g");
    }
}
