//! The source of a value, for messages and `--print-config`.

use std::fmt;
use std::path::PathBuf;

use super::config_place::ConfigPlace;
use super::setting::Setting;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line, or the variable that extends it.
    Argument {
        argument: &'static str,
        variable: Option<&'static str>,
    },
    Variable(String),
    EnvFile {
        path: PathBuf,
        line: usize,
        variable: String,
    },
    ConfigFile {
        place: ConfigPlace,
        name: &'static str,
    },
    Default,
}

impl Origin {
    pub(super) fn argument(row: &Setting, variable: Option<&'static str>) -> Self {
        let argument = row.long_flag().or(row.placeholder()).unwrap_or(row.name);
        Self::Argument { argument, variable }
    }

    /// The variable that holds the value, from the environment or the env file.
    pub(super) fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(variable) | Self::EnvFile { variable, .. } => Some(variable),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument { argument, variable } => {
                let kind = match argument.starts_with('-') {
                    true => "flag",
                    false => "argument",
                };
                match variable {
                    Some(variable) => write!(f, "{kind} {argument} in {variable}"),
                    None => write!(f, "{kind} {argument}"),
                }
            }
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::EnvFile {
                path,
                line,
                variable,
            } => write!(f, "{}:{line}: variable {variable}", path.display()),
            Self::ConfigFile { place, name } => write!(f, "config file {place}: setting {name}"),
            Self::Default => f.write_str("default"),
        }
    }
}
