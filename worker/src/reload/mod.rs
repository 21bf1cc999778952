//! `reload`: reports to the master that the code of the application has changed.
//!
//! ```text
//!   application --files--> WatchList --paths--> FileTimes --changed--> `changed` to the master,
//!   reload_extra_files -----'                   ^                which reloads, ready first
//!                         inotify, or a second -'
//! ```
//!
//! This is a thread in each worker. It decides nothing: the master loads the change as the next generation. If that
//! fails, this worker continues to serve, and reports the next change too.

mod directories;
mod file_times;
mod load_error_app;
mod watch_list;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use log::{info, warn};
use oxicorn_common::settings::ReloadEngine;
use oxicorn_common::{Application, Message, MessageSender, Settings};

pub(crate) use load_error_app::LoadErrorApp;

use crate::thread_spawn::{self, ThreadError};
use directories::Directories;
use file_times::{CodeChange, FileTimes};
use watch_list::WatchList;

/// The interval between two looks at the files; with inotify, between two searches for new ones.
const INTERVAL: Duration = Duration::from_secs(1);
/// A program that has written one file may be about to write the next.
const QUIET: Duration = Duration::from_millis(50);
/// The most rounds of [`QUIET`] before a change is reported, even if the writer is not done.
const MOST_ROUNDS: u32 = 20;

/// Starts to watch, from the present state of the files. Watches the files in `also` in addition to those of
/// the application.
pub(crate) fn start(
    application: Arc<dyn Application>,
    also: Vec<std::path::PathBuf>,
    settings: &Settings,
    sender: Arc<MessageSender>,
) -> Result<(), ThreadError> {
    let watch_list = WatchList::new(application, also, &settings.reload.extra_files);
    let directories = match settings.reload.engine {
        ReloadEngine::Poll => None,
        engine => match Directories::new() {
            Ok(directories) => Some(directories),
            Err(error) => {
                if engine == ReloadEngine::Inotify {
                    warn!("reload_engine: there is no inotify ({error}); polling instead");
                }
                None
            }
        },
    };
    let mut watcher = Watcher {
        watch_list,
        file_times: FileTimes::default(),
        directories,
        sender,
    };
    watcher.refresh();
    let what = || "the thread that watches the code for changes (reload)".to_owned();
    thread_spawn::start("reload", what, thread_spawn::stack_size(), move || {
        watcher.watch();
    })?;
    Ok(())
}

struct Watcher {
    watch_list: WatchList,
    file_times: FileTimes,
    directories: Option<Directories>,
    sender: Arc<MessageSender>,
}

impl Watcher {
    fn watch(mut self) {
        loop {
            let events = match &mut self.directories {
                Some(directories) => directories.wait(INTERVAL),
                None => {
                    thread::sleep(INTERVAL);
                    true
                }
            };
            // A new file counts as unchanged in its present state.
            self.refresh();
            if events && let Some(change) = self.settled_change() {
                info!("Worker reloading: {} modified", change.path.display());
                let message = Message::Changed {
                    file: change.path.display().to_string(),
                    stamp: change.stamp,
                };
                if self.sender.send(&message).is_err() {
                    return;
                }
            }
        }
    }

    /// Adds files that the application has loaded since.
    fn refresh(&mut self) {
        let paths = self.watch_list.paths();
        if let Some(directories) = &mut self.directories {
            directories.add(&paths);
        }
        self.file_times.add(paths);
    }

    /// The change, once the writer is done.
    fn settled_change(&mut self) -> Option<CodeChange> {
        let mut change = self.file_times.changed()?;
        for _ in 0..MOST_ROUNDS {
            thread::sleep(QUIET);
            match self.file_times.changed() {
                Some(more) => change.stamp = change.stamp.max(more.stamp),
                None => break,
            }
        }
        Some(change)
    }
}
