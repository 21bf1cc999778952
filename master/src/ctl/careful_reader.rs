//! [`CarefulReader`]: root looks at a server from any directory, and the config file that happens to be there is a program.
//! One of somebody else is not executed unless it is named.

use std::fs::{metadata, symlink_metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{Uid, geteuid};
use oxicorn_common::settings::{ConfigError, ConfigFile, ConfigPlace, ConfigReader};

/// Executes files of root and of the own user, and takes others as empty.
#[derive(Debug)]
pub(super) struct CarefulReader(pub(super) Arc<dyn ConfigReader>);

impl ConfigReader for CarefulReader {
    fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
        let owner = match place {
            ConfigPlace::File(path) => stranger(path),
            ConfigPlace::Module(_) => None,
        };
        let Some(owner) = owner else {
            return self.0.read(place);
        };
        eprintln!(
            "{place} is not executed: it belongs to user {owner}. --socket or --config says what is meant"
        );
        Ok(ConfigFile::new(place.clone(), Vec::new(), None))
    }

    fn serves_python(&self, application: Option<&str>) -> bool {
        self.0.serves_python(application)
    }
}

/// The user that the file or a link to it belongs to, if that is neither root nor we.
fn stranger(path: &Path) -> Option<Uid> {
    let found = [symlink_metadata(path), metadata(path)];
    let mut owners = found.iter().flatten().map(|it| Uid::from_raw(it.uid()));
    owners.find(|owner| !owner.is_root() && *owner != geteuid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::lchown;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts the files that it would have executed.
    #[derive(Debug, Default)]
    struct CountingReader(AtomicUsize);

    impl ConfigReader for CountingReader {
        fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(ConfigFile::new(place.clone(), Vec::new(), None))
        }

        fn serves_python(&self, _application: Option<&str>) -> bool {
            true
        }
    }

    #[test]
    fn files_and_links_of_others_are_not_executed() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        let root = std::env::temp_dir().join(format!("oxicorn-careful-{}", std::process::id()));
        std::fs::create_dir(&root).expect("a directory");
        let (own, theirs, link) = (root.join("own"), root.join("theirs"), root.join("link"));
        std::fs::write(&own, "").expect("a file");
        std::fs::write(&theirs, "").expect("a file");
        std::os::unix::fs::symlink(&own, &link).expect("a link");
        lchown(&theirs, Some(65534), None).expect("root");
        lchown(&link, Some(65534), None).expect("root");
        let executed = Arc::new(CountingReader::default());
        let reader = CarefulReader(Arc::<CountingReader>::clone(&executed));
        for (path, count) in [(theirs, 0), (link, 0), (own, 1)] {
            reader.read(&ConfigPlace::File(path)).expect("no error");
            assert_eq!(executed.0.load(Ordering::Relaxed), count);
        }
        std::fs::remove_dir_all(&root).expect("removed");
    }
}
