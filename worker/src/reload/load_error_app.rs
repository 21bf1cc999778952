//! Replaces an application that does not load: answers every request with the reason.
//!
//! Used only with `reload`, and only at the first start, when no older worker could continue to serve.

use std::path::PathBuf;

use http::StatusCode;
use oxicorn_common::response::ResponseBody;
use oxicorn_common::{App, Request, Response, ResponseSink};

/// An application whose code has failed.
#[derive(Debug)]
pub(crate) struct LoadErrorApp {
    reason: String,
    /// The files where the error may be fixed: those that a Python traceback names.
    pub(crate) files: Vec<PathBuf>,
}

impl LoadErrorApp {
    pub(crate) fn of(reason: &anyhow::Error) -> Self {
        let reason = format!("{reason:#}");
        let named = reason.lines().filter_map(|line| {
            let rest = line.trim_start().strip_prefix("File \"")?;
            rest.split('"').next().map(PathBuf::from)
        });
        Self {
            files: named.filter(|file| file.is_file()).collect(),
            reason,
        }
    }
}

impl App for LoadErrorApp {
    fn call(&self, _request: &mut Request, _sink: &mut ResponseSink<'_>) -> Response {
        let text = format!("The application does not load.\n\n{}\n", self.reason);
        Response::new(StatusCode::INTERNAL_SERVER_ERROR)
            .field("Content-Type", "text/plain; charset=utf-8")
            .body(ResponseBody::Bytes(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_names_the_files_that_may_be_mended() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("bad.py");
        std::fs::write(&file, "x ==").expect("a file");
        let trace = format!(
            "Traceback:\n  File \"<frozen importlib>\", line 1\n  File \"{}\", line 1\n    x ==",
            file.display()
        );
        assert_eq!(LoadErrorApp::of(&anyhow::anyhow!(trace)).files, [file]);
    }
}
