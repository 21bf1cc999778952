//! Which settings exist for the application that is served, and which environment variables set them. For a Python
//! application, variables without a prefix belong to the application: as settings of the server they count only below
//! the config file.

use super::origin::Origin;
use super::setting::Setting;
use super::table::SETTINGS;

#[derive(Debug, Clone, Copy)]
pub(super) enum Served {
    /// A native application, with the settings that it brings.
    Native(&'static [Setting]),
    Python,
}

impl Served {
    /// The settings that exist: those of the server and of the application.
    pub(super) fn rows(self) -> impl Iterator<Item = &'static Setting> {
        let server = SETTINGS.iter().filter(move |row| self.has_server_row(row));
        server.chain(self.own_rows())
    }

    /// The settings that the application brings.
    pub(super) fn own_rows(self) -> &'static [Setting] {
        match self {
            Self::Native(rows) => rows,
            Self::Python => &[],
        }
    }

    pub(super) fn has(self, row: &Setting) -> bool {
        self.named(row.name).is_some()
    }

    pub(super) fn named(self, name: &str) -> Option<&'static Setting> {
        self.rows().find(|row| row.name == name)
    }

    /// Background work is for native applications.
    pub(super) fn has_runners(self) -> bool {
        matches!(self, Self::Native(_))
    }

    /// The variables that set `row`: those with precedence over the config file, and those without.
    pub(super) fn variables(self, row: &Setting) -> (Vec<String>, Vec<String>) {
        let (prefixed, bare) = (row.prefixed(), row.bare.map(str::to_owned));
        let fallback = row.fallback().map(str::to_owned);
        match self {
            Self::Python => (
                prefixed.collect(),
                fallback.into_iter().chain(bare).collect(),
            ),
            Self::Native(_) => (
                prefixed.chain(bare).collect(),
                fallback.into_iter().collect(),
            ),
        }
    }

    /// Whether a value from `origin` may be meant for the application, because its name does not mention this server.
    pub(super) fn may_own(self, row: &Setting, origin: &Origin) -> bool {
        matches!(self, Self::Python) && row.bare.is_some() && origin.variable() == row.bare
    }

    fn has_server_row(self, row: &Setting) -> bool {
        row.name != "runners" || self.has_runners()
    }
}

/// The settings of a server that serves a Python application.
pub fn python_settings() -> impl Iterator<Item = &'static Setting> {
    Served::Python.rows()
}
