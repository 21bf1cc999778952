//! One request of a control client: `{"id": 1, "command": "worker add", "args": ["2"]}`.

use serde_json::{Map, Value};

/// What a client asks for: a command in words, and who it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ControlRequest {
    /// The client's own number, whatever that is; it comes back with the answer.
    pub(crate) id: Value,
    /// The command and its arguments.
    pub(crate) words: Vec<String>,
    /// The client wants to see what happens until the answer, in frames of their own. Only `args` can ask for that:
    /// gunicorn's client puts everything into `command`, and takes the first frame for the answer.
    pub(crate) wants_progress: bool,
}

/// A request that cannot be read: the id to answer to, and why.
#[derive(Debug, PartialEq)]
pub(crate) struct BadRequest {
    pub(crate) id: Value,
    pub(crate) error: String,
    /// It is no JSON, so this is no client of the protocol.
    pub(crate) is_foreign: bool,
}

/// The argument with which a client asks for progress.
pub(crate) const PROGRESS: &str = "--progress";

impl ControlRequest {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, BadRequest> {
        let mut request: Map<String, Value> = match serde_json::from_slice(payload) {
            Ok(Value::Object(request)) => request,
            Ok(_) => return Err(BadRequest::new(0.into(), "a request is a JSON object")),
            Err(error) => {
                return Err(BadRequest {
                    id: 0.into(),
                    error: format!("Invalid JSON: {error}"),
                    is_foreign: true,
                });
            }
        };
        // As in gunicorn, only the command must be there.
        let id = request.remove("id").unwrap_or_else(|| 0.into());
        let command = match request.remove("command") {
            None => String::new(),
            Some(Value::String(command)) => command,
            Some(_) => return Err(BadRequest::new(id, "Invalid argument: command is no text")),
        };
        let args = match request.remove("args") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(args)) => args,
            Some(_) => return Err(BadRequest::new(id, "Invalid argument: args is no list")),
        };
        let Some(mut words) = shlex::split(&command) else {
            return Err(BadRequest::new(
                id,
                "Invalid argument: No closing quotation",
            ));
        };
        if words.is_empty() {
            return Err(BadRequest::new(id, "Empty command"));
        }
        let mut wants_progress = false;
        for arg in args {
            match arg {
                Value::String(word) if word == PROGRESS => wants_progress = true,
                Value::String(word) => words.push(word),
                other => words.push(other.to_string()),
            }
        }
        Ok(Self {
            id,
            words,
            wants_progress,
        })
    }
}

impl BadRequest {
    fn new(id: Value, error: &str) -> Self {
        Self {
            id,
            error: error.to_owned(),
            is_foreign: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<ControlRequest, BadRequest> {
        ControlRequest::parse(text.as_bytes())
    }

    #[test]
    fn words_come_from_the_command_and_from_the_arguments() {
        let request = parse(r#"{"id": 7, "command": " worker  add", "args": [2, "x y"]}"#);
        let request = request.expect("a request");
        assert_eq!(request.id, json!(7));
        assert_eq!(request.words, ["worker", "add", "2", "x y"]);
        assert!(!request.wants_progress);
        let request = parse(r#"{"command": "reload --progress", "id": {"a": [null]}}"#);
        let request = request.expect("a request");
        assert_eq!(request.id, json!({"a": [null]}), "whatever it is");
        assert!(!request.wants_progress, "gunicorn's client could not tell");
        assert_eq!(request.words, ["reload", "--progress"]);
        let request = parse(r#"{"command": "reload", "args": ["--wait", "--progress"]}"#);
        let request = request.expect("a request");
        assert!(request.wants_progress);
        assert_eq!((request.id, request.words.len()), (json!(0), 2));
    }

    #[test]
    fn what_is_no_request_says_why() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let cases = [
            ("", "Invalid JSON", true),
            ("\u{1}", "Invalid JSON", true),
            (&deep, "Invalid JSON", true),
            ("[1]", "JSON object", false),
            ("{}", "Empty command", false),
            (r#"{"command": " "}"#, "Empty command", false),
            (r#"{"command": 3}"#, "no text", false),
            (r#"{"command": "show 'all"}"#, "No closing quotation", false),
            (r#"{"command": "show", "args": 3}"#, "no list", false),
        ];
        for (text, expected, is_foreign) in cases {
            let bad = parse(text).expect_err(text);
            assert!(bad.error.contains(expected), "{text}: {}", bad.error);
            assert_eq!(bad.is_foreign, is_foreign, "{text}");
        }
        let bad = ControlRequest::parse(b"{\"command\": \"\xff\"}").expect_err("no UTF-8");
        assert!(bad.is_foreign);
    }
}
