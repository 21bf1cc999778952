//! `--check-config`: reports everything that would fail at a start, all at once.
//!
//! It creates, locks and binds nothing, so it may run beside a serving server. It does not find problems that only a
//! start can find, such as a database that does not answer.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow};
use nix::unistd::Uid;
use oxicorn_common::metrics;
use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::settings::{Loaded, Source};
use oxicorn_common::{Application, DirectoryEntry, Settings, logging};
use oxicorn_worker::TlsConfig;

use crate::admin_resources::AdminResources;
use crate::bound_socket::BoundSocket;
use crate::generation::change_directory;
use crate::{native, privileges};

/// One text per problem.
pub(crate) fn find_problems(
    loaded: &Loaded,
    source: &Source,
    application: &dyn Application,
) -> Vec<String> {
    let settings = &loaded.settings;
    let mut problems = Vec::new();
    let mut note = |outcome: anyhow::Result<()>| {
        problems.extend(outcome.err().map(|reason| format!("{reason:#}")));
    };
    note(privileges::check(settings).map_err(Into::into));
    note(change_directory(settings, source));
    for (name, place) in files(settings) {
        let place = Path::new(place);
        let outcome = check_file(place, settings.user);
        note(outcome.with_context(|| format!("{name}: cannot write to {}", place.display())));
    }
    if let Some(directory) = &settings.tmp_upload_dir {
        let outcome = DirectoryEntry::find(&directory.join("spool"), settings.user)
            .and_then(|entry| entry.check_writable());
        let text = || format!("tmp_upload_dir: cannot write to {}", directory.display());
        note(outcome.with_context(text));
    }
    let logconfig = [
        ("logconfig", &settings.logconfig.file),
        ("logconfig_json", &settings.logconfig.json),
    ];
    for (name, file) in logconfig {
        if let Some(file) = file {
            let text = || format!("{name}: cannot read {}", file.display());
            note(File::open(file).map(drop).with_context(text));
        }
    }
    note(logging::check(&settings.logging_options()).map_err(Into::into));
    for address in &settings.bind {
        note(BoundSocket::check(address, settings).map_err(Into::into));
    }
    for address in &settings.admin.bind {
        note(BoundSocket::check(address, settings).context("admin_bind"));
    }
    note(AdminResources::check(settings));
    note(TlsConfig::load(settings).map(drop).map_err(Into::into));
    note(
        RateLimitSet::load(settings, None)
            .map(drop)
            .map_err(Into::into),
    );
    let is_built_in = native::find(application.name()).is_some();
    note(metrics::check(application.metrics(), is_built_in).map_err(Into::into));
    note(application.check(settings).map_err(Into::into));
    problems
}

/// Files that the master makes or opens, with their settings.
fn files(settings: &Settings) -> Vec<(&'static str, &str)> {
    let mut files = vec![("errorlog", settings.errorlog.as_str())];
    files.extend(settings.accesslog.as_deref().map(|it| ("accesslog", it)));
    let pidfile = settings.pidfile.as_deref().and_then(Path::to_str);
    files.extend(pidfile.map(|it| ("pidfile", it)));
    files.retain(|(_, place)| *place != "-");
    files
}

fn check_file(place: &Path, workers: Option<Uid>) -> anyhow::Result<()> {
    match place.is_dir() {
        true => Err(anyhow!("it is a directory")),
        false => Ok(DirectoryEntry::find(place, workers)?.check_writable()?),
    }
}

#[cfg(test)]
mod tests {
    use oxicorn_common::address::Address;

    use super::*;

    #[test]
    fn addresses_and_files_are_named() {
        let settings = Settings {
            accesslog: Some("/nowhere/access.log".to_owned()),
            errorlog: "-".to_owned(),
            pidfile: Some("/nowhere/pid".into()),
            ..Settings::default()
        };
        let names = files(&settings).into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), ["accesslog", "pidfile"]);
        let unix = Address::Unix("/nowhere/app.sock".into());
        let error = BoundSocket::check(&unix, &settings).expect_err("no such directory");
        assert!(
            error.to_string().contains("unix:/nowhere/app.sock"),
            "{error}"
        );
    }
}
