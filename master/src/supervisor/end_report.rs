//! The line in the log about the end of a child.

use std::time::Duration;

use log::Level;
use oxicorn_common::exit_code;

use super::Supervisor;
use super::child::{Child, ChildState};
use super::death::Death;

impl Supervisor {
    /// Logs how a child ended, and the consequence.
    pub(super) fn report(&mut self, child: &Child, death: Death, wait: Option<Duration>) {
        let follows = match wait {
            _ if self.stopping.is_some() => String::new(),
            _ if !self.generations.is_serving(child.generation) => String::new(),
            Some(wait) => format!("; trying again in {:.1} s", wait.as_secs_f64()),
            None => "; starting another".to_owned(),
        };
        let (level, text) = match child.state {
            ChildState::Killed(why) => (Level::Error, format!("was killed: {why}{follows}")),
            ChildState::Draining if death.exit_code() == Some(exit_code::SUCCESS) => {
                (Level::Debug, "has ended".into())
            }
            ChildState::Draining => (Level::Warn, format!("{death} while it drained")),
            ChildState::Ready
                if death.exit_code() == Some(exit_code::SUCCESS) && self.stopping.is_some() =>
            {
                (Level::Debug, "has ended".into())
            }
            ChildState::Ready if death.exit_code() == Some(exit_code::SUCCESS) => {
                (Level::Warn, format!("ended without being told to{follows}"))
            }
            ChildState::Booting if death.exit_code() == Some(exit_code::LOAD_ERROR) => (
                Level::Error,
                format!("could not load the application{follows}"),
            ),
            ChildState::Booting => (
                Level::Error,
                format!("{death} before it was ready{follows}"),
            ),
            ChildState::Ready => (Level::Error, format!("{death}{follows}")),
        };
        self.log(level, format!("{child} {text}"));
    }
}
