//! Why a child failed to start, and how the master learns of it.

use std::io;

use log::error;
use oxicorn_common::hooks::HookError;
use oxicorn_common::logging::AccessFormatError;
use oxicorn_common::{LoadError, Message, MessageSender, exit_code};

use crate::thread_spawn::ThreadError;
use crate::threads::LaunchError;

#[derive(Debug, thiserror::Error)]
pub(super) enum BootError {
    #[error("Application {name} failed to load: {source}")]
    Load { name: String, source: LoadError },
    #[error("Worker failed to boot: access_log_format: {0}")]
    AccessFormat(#[from] AccessFormatError),
    #[error("Worker failed to boot: {0}")]
    Io(#[from] io::Error),
    #[error("Worker failed to boot: {0}")]
    Launch(#[from] LaunchError),
    #[error("Worker failed to boot: {0}")]
    Thread(#[from] ThreadError),
    #[error("Runner failed to boot: {0}")]
    Runner(#[source] ThreadError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

impl BootError {
    /// Logs the error and sends it to the master; returns the exit code of the process.
    pub(super) fn report(&self, sender: &MessageSender) -> i32 {
        error!("{self}");
        let message = Message::Failed {
            exit_code: self.exit_code(),
            text: self.to_string(),
        };
        // If the master cannot be reached, it still sees the exit code.
        let _ = sender.send(&message);
        self.exit_code()
    }

    fn exit_code(&self) -> i32 {
        match self {
            Self::Load {
                source: LoadError::Unusable(_),
                ..
            } => exit_code::LOAD_ERROR,
            _ => exit_code::BOOT_ERROR,
        }
    }
}
