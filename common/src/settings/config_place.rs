//! The location of a Python config file, and why it could not be executed.

use std::fmt;
use std::path::{Path, PathBuf};

/// Names that are tried in the working directory, in this order, if no file is named.
const DEFAULT_FILES: [&str; 2] = ["gunicorn.conf.py", "oxicorn.conf.py"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "it is Python, which takes the oxicorn of the wheel (pip install oxicorn); \
         this one reads a file of variables with --env-file"
    )]
    NoInterpreter,
    /// Python's message, perhaps over several lines.
    #[error("{0}")]
    Failed(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPlace {
    File(PathBuf),
    /// A module by its dotted name.
    Module(String),
}

impl ConfigPlace {
    /// What `--config` names: `PATH`, `file:PATH` or `python:MODULE`.
    pub(super) fn parse(text: &str, directory: &Path) -> Self {
        match text.strip_prefix("python:") {
            Some(module) => Self::Module(module.to_owned()),
            None => Self::File(directory.join(text.strip_prefix("file:").unwrap_or(text))),
        }
    }

    pub(super) fn default_in(directory: &Path) -> Option<Self> {
        let files = DEFAULT_FILES.iter().map(|name| directory.join(name));
        files.into_iter().find(|path| path.exists()).map(Self::File)
    }
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Module(name) => write!(f, "python:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_files_or_modules() {
        for (text, place) in [
            ("a.py", "/d/a.py"),
            ("file:a.py", "/d/a.py"),
            ("/b.py", "/b.py"),
            ("python:a.b", "python:a.b"),
        ] {
            assert_eq!(ConfigPlace::parse(text, Path::new("/d")).to_string(), place);
        }
    }
}
