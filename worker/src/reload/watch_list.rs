//! Lists the files to watch: those that the application has loaded, other sources in the same directories, and those
//! that `reload_extra_files` names.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxicorn_common::Application;

pub(super) struct WatchList {
    application: Arc<dyn Application>,
    also: Vec<PathBuf>,
    extra: Vec<String>,
    /// The directory in which the sources are edited.
    project: Option<PathBuf>,
}

impl WatchList {
    pub(super) fn new(
        application: Arc<dyn Application>,
        also: Vec<PathBuf>,
        extra: &[String],
    ) -> Self {
        Self {
            application,
            also,
            extra: extra.to_vec(),
            project: std::env::current_dir().ok(),
        }
    }

    /// All files to watch now.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths: BTreeSet<PathBuf> = self.application.source_files().into_iter().collect();
        paths.extend(self.also.iter().cloned());
        paths.extend(self.siblings(&paths));
        for name in &self.extra {
            match is_pattern(name) {
                true => paths.extend(matches(name)),
                false => {
                    paths.insert(name.into());
                }
            }
        }
        paths.into_iter().collect()
    }

    /// Other sources in the project's directories: the next generation may need one, and fail because of it,
    /// before any worker here has loaded it.
    fn siblings(&self, paths: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let Some(project) = &self.project else {
            return Vec::new();
        };
        let mut directories: Vec<&Path> = paths
            .iter()
            .filter(|path| path.starts_with(project) && !is_installed(path))
            .filter_map(|path| path.parent())
            .collect();
        directories.dedup();
        let entries = directories
            .into_iter()
            .filter_map(|it| fs::read_dir(it).ok());
        let files = entries.flatten().flatten().map(|entry| entry.path());
        files
            .filter(|file| file.extension() == Some(OsStr::new("py")))
            .collect()
    }
}

/// Whether it is in a virtual environment, which may be inside the project.
fn is_installed(path: &Path) -> bool {
    path.iter()
        .any(|it| it == "site-packages" || it == "dist-packages")
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// As Python's glob: `**` is any number of directories, and a leading dot of a name must be written out.
fn matches(pattern: &str) -> Vec<PathBuf> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(pattern, options);
    found.map_or_else(|_| Vec::new(), |paths| paths.flatten().collect())
}

#[cfg(test)]
mod tests {
    use oxicorn_common::{App, LoadError, WorkerContext};

    use super::*;

    struct Loaded(Vec<PathBuf>);

    impl Application for Loaded {
        fn name(&self) -> &str {
            "loaded"
        }

        fn load(&self, _context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
            Err(anyhow::anyhow!("never loaded").into())
        }

        fn source_files(&self) -> Vec<PathBuf> {
            self.0.clone()
        }
    }

    #[test]
    fn files_are_those_loaded_those_beside_them_and_those_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("deep/er")).expect("directories");
        for name in [
            "app.py",
            "next.py",
            "note.txt",
            "deep/er/a.html",
            "deep/.b.html",
        ] {
            fs::write(path(name), "").expect("a file");
        }
        let application = Arc::new(Loaded(vec![path("app.py")]));
        let extra = [
            path("settings.toml").display().to_string(),
            path("**/*.html").display().to_string(),
        ];
        let mut watch_list = WatchList::new(application, vec![path("broken.py")], &extra);
        watch_list.project = Some(directory.path().to_owned());
        let expected = [
            "app.py",
            "broken.py",
            "deep/er/a.html",
            "next.py",
            "settings.toml",
        ];
        assert_eq!(watch_list.paths(), expected.map(path));
        watch_list.project = Some("/elsewhere".into());
        assert!(!watch_list.paths().contains(&path("next.py")));
    }
}
