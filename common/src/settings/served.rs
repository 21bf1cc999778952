//! What is served, as far as settings go: an application has settings of its own, and a Python one has its
//! own environment.

use super::config_file::ConfigReader;
use super::origin::Origin;
use super::setting::{Section, Setting};
use super::table::SETTINGS;

/// The application whose settings are those of [`Section::Service`].
pub(super) const SERVICE: &str = "native:eventstreammonitor";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// The built-in task service.
    Service,
    /// Any other native application.
    Native,
    Python,
}

impl Served {
    /// What the settings name, or nothing, in a process that reads config files with `reader`.
    pub(super) fn of(application: Option<&str>, reader: &dyn ConfigReader) -> Self {
        match application {
            _ if reader.serves_python(application) => Self::Python,
            Some(SERVICE) => Self::Service,
            _ => Self::Native,
        }
    }

    /// The settings that there are: those of the server and of the application.
    pub(super) fn rows(self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(move |row| self.has(row))
    }

    pub(super) fn has(self, row: &Setting) -> bool {
        match row.section {
            Section::Service => self == Self::Service,
            _ => row.name != "runners" || self.has_runners(),
        }
    }

    pub(super) fn named(self, name: &str) -> Option<&'static Setting> {
        self.rows().find(|row| row.name == name)
    }

    /// Background work is for native applications.
    pub(super) fn has_runners(self) -> bool {
        self != Self::Python
    }

    /// The variables that set `row`: those that outrank the config file, and those that it outranks.
    pub(super) fn variables(self, row: &Setting) -> (Vec<String>, Vec<String>) {
        let (prefixed, bare) = (row.prefixed(), row.bare.map(str::to_owned));
        let fallback = row.fallback().map(str::to_owned);
        match self {
            Self::Python => (
                prefixed.collect(),
                fallback.into_iter().chain(bare).collect(),
            ),
            _ => (
                prefixed.chain(bare).collect(),
                fallback.into_iter().collect(),
            ),
        }
    }

    /// Whether what comes from `origin` may be meant for the application, by a name that says nothing of us.
    pub(super) fn may_own(self, row: &Setting, origin: &Origin) -> bool {
        self == Self::Python && row.bare.is_some() && origin.variable() == row.bare
    }
}

/// The settings of a server that serves a Python application.
pub fn python_settings() -> impl Iterator<Item = &'static Setting> {
    Served::Python.rows()
}
