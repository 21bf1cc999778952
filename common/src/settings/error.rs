//! Why settings could not be read: one line with the source, the value and a correct form.

use std::io;
use std::path::PathBuf;

use super::config_place::{ConfigError, ConfigPlace};
use super::origin::Origin;
use super::secrets::mask;
use crate::exit_code;

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not an error: the answer to `--help` or `--version`.
    #[error("{0}")]
    Information(String),

    /// The command line, or the variable that extends it, is malformed.
    #[error("{}{text}", variable.map(|name| format!("variable {name}: ")).unwrap_or_default())]
    Usage {
        variable: Option<&'static str>,
        text: String,
    },

    #[error("{origin}: invalid value {:?}: expected {expected}", mask(value))]
    Value {
        origin: Origin,
        value: String,
        expected: String,
    },

    #[error("{origin}: a setting of {of}, which is not served")]
    Foreign { origin: Origin, of: String },

    /// An error of the application's author.
    #[error("setting {name} of the application has the name or a flag of the server's {server}")]
    Taken {
        name: &'static str,
        server: &'static str,
    },

    #[error("{origin}: cannot read {}", path.display())]
    File {
        origin: Origin,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("config file {place}")]
    ConfigFile {
        place: ConfigPlace,
        #[source]
        source: ConfigError,
    },

    #[error("{}:{line}: {problem}", path.display())]
    EnvFileLine {
        path: PathBuf,
        line: usize,
        problem: &'static str,
    },
}

impl SettingsError {
    /// 0 for a requested answer, 1 for bad configuration, as in gunicorn.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Information(_) => exit_code::SUCCESS,
            _ => exit_code::CONFIGURATION_ERROR,
        }
    }
}
