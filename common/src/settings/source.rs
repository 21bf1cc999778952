//! [`Source`]: the arguments, environment and directory that settings are read from. For the source of one value see
//! `origin`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::application_settings::ApplicationSettings;
use super::config_file::{ConfigReader, NoInterpreter};

/// Arguments, environment and working directory of one start. A reload reads the same source again: only the
/// files that it names can have changed.
#[derive(Debug, Clone)]
pub struct Source {
    /// The command line, program name first.
    pub arguments: Vec<OsString>,
    pub environment: BTreeMap<String, String>,
    /// Relative file names start from here. Where a link leads here, the shell's name for it is used.
    pub directory: PathBuf,
    /// Executes the config file.
    pub reader: Arc<dyn ConfigReader>,
    /// The settings that applications bring.
    pub applications: ApplicationSettings,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            directory: PathBuf::new(),
            reader: Arc::new(NoInterpreter),
            applications: ApplicationSettings::default(),
        }
    }
}

impl Source {
    /// The source of this process. The error is that of getcwd(3).
    pub fn process() -> io::Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                let value = value.to_string_lossy().into_owned();
                Some((name.into_string().ok()?, value))
            })
            .collect();
        let arguments: Vec<OsString> = std::env::args_os().collect();
        Ok(Self {
            directory: working_directory(&arguments)?,
            arguments,
            environment,
            ..Self::default()
        })
    }
}

/// The directory by the name that led to it, so that a reload follows a link which may then point to another
/// release; getcwd(3) would return the target of the link.
fn working_directory(arguments: &[OsString]) -> io::Result<PathBuf> {
    let actual = std::env::current_dir()?;
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let is_it = |path: &Path| path.is_absolute() && is_same(path, &actual);
    if let Some(named) = variable("PWD").filter(|path| is_it(path)) {
        return Ok(named);
    }
    // A service manager does not set PWD (systemd.exec(5)), but a script that it starts may.
    let files = arguments.iter().map(PathBuf::from);
    let mut files = files.chain(variable("VIRTUAL_ENV"));
    let above = |file: PathBuf| {
        let mut places = file.ancestors().filter(|place| is_it(place));
        places.find(|place| *place != actual).map(Path::to_owned)
    };
    if let Some(named) = files.find_map(above) {
        return Ok(named);
    }
    Ok(link_beside(&actual).unwrap_or(actual))
}

/// A link called `current` to `directory`, in one of the two folders above it.
fn link_beside(directory: &Path) -> Option<PathBuf> {
    let above = directory.ancestors().skip(1).take(2);
    let mut links = above.map(|folder| folder.join("current"));
    links.find(|link| link.is_symlink() && is_same(link, directory))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.metadata().map(|it| (it.dev(), it.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_the_directory_is_found_beside_it() {
        let root = std::env::temp_dir().join(format!("oxicorn-source-{}", std::process::id()));
        let release = root.join("releases/1");
        std::fs::create_dir_all(&release).expect("a directory");
        assert_eq!(link_beside(&release), None);
        symlink("releases/1", root.join("other")).expect("a link");
        assert_eq!(link_beside(&release), None, "it may be meant for anything");
        symlink("releases/1", root.join("current")).expect("a link");
        assert_eq!(link_beside(&release), Some(root.join("current")));
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
