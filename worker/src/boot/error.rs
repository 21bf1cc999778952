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
    #[error("access_log_format: {0}")]
    AccessFormat(#[from] AccessFormatError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Thread(#[from] ThreadError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

impl BootError {
    /// Logs the error and sends it to the master; returns the exit code of the process. `who` has failed, at the beginning
    /// of a sentence.
    pub(super) fn report(&self, who: &str, sender: &MessageSender) -> i32 {
        let text = match self {
            Self::Load { .. } | Self::Hook(_) => self.to_string(),
            _ => format!("{who} failed to boot: {self}"),
        };
        error!("{text}");
        let message = Message::Failed {
            exit_code: self.exit_code(),
            text,
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
