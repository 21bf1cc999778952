//! The memory that outlives an upgrade: what both masters count. The new one maps it by descriptors of the old one.

use std::io;
use std::os::fd::OwnedFd;

use log::warn;
use oxicorn_common::Scoreboard;
use oxicorn_common::metrics::MetricMemory;

use crate::sys;

/// The descriptors of the memory. `None`: this system cannot make such a file.
#[derive(Debug, Default)]
pub(crate) struct SharedFiles {
    metrics: Option<OwnedFd>,
    scoreboard: Option<OwnedFd>,
}

/// What a new master has been given.
#[derive(Debug, Default)]
pub(crate) struct InheritedFiles {
    pub(crate) files: SharedFiles,
    /// The side of the scoreboard that the old master does not use.
    pub(crate) side: usize,
    /// The master that has made or inherited them.
    pub(crate) old_master: i32,
    /// It is gone already.
    pub(crate) is_alone: bool,
}

impl SharedFiles {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let clone = |file: &Option<OwnedFd>| file.as_ref().map(OwnedFd::try_clone).transpose();
        Ok(Self {
            metrics: clone(&self.metrics)?,
            scoreboard: clone(&self.scoreboard)?,
        })
    }

    /// Keeps them open over exec; returns their numbers, as [`SharedFiles::inherited`] reads them.
    pub(crate) fn keep_across_exec(&self) -> io::Result<[String; 2]> {
        let keep = |file: &Option<OwnedFd>| {
            let number = file.as_ref().map(sys::keep_across_exec).transpose()?;
            Ok::<_, io::Error>(number.map_or_else(String::new, |number| number.to_string()))
        };
        Ok([keep(&self.metrics)?, keep(&self.scoreboard)?])
    }

    pub(crate) fn inherited([metrics, scoreboard]: [Option<OwnedFd>; 2]) -> Self {
        Self {
            metrics,
            scoreboard,
        }
    }
}

impl InheritedFiles {
    /// The memory of the old master, or new memory where there is none that this program understands. With the
    /// descriptors for the next master.
    pub(crate) fn map(self) -> io::Result<(Scoreboard, MetricMemory, SharedFiles)> {
        let (memory, metrics) = match self.files.metrics {
            Some(file) => match MetricMemory::inherited(&file, self.old_master) {
                Ok(memory) => {
                    if self.is_alone {
                        memory.fold_other();
                    }
                    (memory, Some(file))
                }
                Err(reason) => {
                    warn_of("The application's metrics begin", &reason);
                    MetricMemory::new()?
                }
            },
            None => MetricMemory::new()?,
        };
        let (board, scoreboard) = match self.files.scoreboard {
            Some(file) => match Scoreboard::inherited(&file, self.side) {
                Ok(board) => (board, Some(file)),
                Err(reason) => {
                    warn_of("The server's counters begin", &reason);
                    Scoreboard::inheritable()?
                }
            },
            None => Scoreboard::inheritable()?,
        };
        let files = SharedFiles {
            metrics,
            scoreboard,
        };
        Ok((board, memory, files))
    }
}

fn warn_of(what: &str, reason: &io::Error) {
    warn!("{what} at 0: the old master keeps them in another form: {reason}");
}
