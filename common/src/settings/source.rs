//! What settings are read from: everything that a process is started with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::config_file::{ConfigReader, NoInterpreter};

/// Arguments, environment and working directory of one start. A reload reads the same source
/// again: what can have changed are the files that it names.
#[derive(Debug, Clone)]
pub struct Source {
    /// The command line, program name first.
    pub arguments: Vec<OsString>,
    pub environment: BTreeMap<String, String>,
    /// Relative file names count from here. By the name that the shell has for it, where that is a link.
    pub directory: PathBuf,
    /// Who executes the config file.
    pub reader: Arc<dyn ConfigReader>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: PathBuf::new(),
            reader: Arc::new(NoInterpreter),
        }
    }
}

impl Source {
    /// What this process was started with. The error is that of getcwd(3).
    pub fn process() -> io::Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                let value = value.to_string_lossy().into_owned();
                Some((name.into_string().ok()?, value))
            })
            .collect();
        Ok(Self {
            arguments: std::env::args_os().collect(),
            environment,
            directory: working_directory()?,
            ..Self::default()
        })
    }
}

/// As PWD has it, if that is still the same directory (getcwd(3) follows links).
fn working_directory() -> io::Result<PathBuf> {
    let actual = std::env::current_dir()?;
    let named = std::env::var_os("PWD").map(PathBuf::from);
    let id = |path: &PathBuf| path.metadata().map(|it| (it.dev(), it.ino())).ok();
    let named = named.filter(|path| path.is_absolute() && id(path) == id(&actual));
    Ok(named.unwrap_or(actual))
}
