//! The settings that applications bring. While their application is served they are read like the server's own;
//! otherwise they are rejected.

use super::error::SettingsError;
use super::setting::Setting;
use super::table::SETTINGS;

/// The applications that bring settings in addition to the server's.
#[derive(Debug, Clone, Default)]
pub struct ApplicationSettings {
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    /// The name that selects the application. `None`: the program serves no other application.
    application: Option<String>,
    rows: &'static [Setting],
}

impl ApplicationSettings {
    /// For a program that serves one application, which needs no name.
    pub fn of_program(rows: &'static [Setting]) -> Self {
        let application = None;
        Self {
            groups: vec![Group { application, rows }],
        }
    }

    /// For a program that serves the application which the settings name.
    pub fn by_name(groups: impl IntoIterator<Item = (String, &'static [Setting])>) -> Self {
        let groups = groups.into_iter().map(|(name, rows)| Group {
            application: Some(name),
            rows,
        });
        Self {
            groups: groups.filter(|group| !group.rows.is_empty()).collect(),
        }
    }

    /// The rows of the application called `name`.
    pub(super) fn of(&self, name: Option<&str>) -> &'static [Setting] {
        let mut groups = self.groups.iter();
        let group = groups.find(|it| it.application.is_none() || it.application.as_deref() == name);
        group.map_or(&[], |group| group.rows)
    }

    /// All rows, each name once.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static Setting> {
        let mut names = Vec::new();
        let rows = self.groups.iter().flat_map(|group| group.rows);
        rows.filter(move |row| {
            let is_new = !names.contains(&row.name);
            names.push(row.name);
            is_new
        })
    }

    /// The application that has a setting called `name`, if it is selected by its own name.
    pub(super) fn owner(&self, name: &str) -> Option<&str> {
        let mut groups = self.groups.iter();
        let has = |group: &&Group| group.rows.iter().any(|row| row.name == name);
        groups.find(has)?.application.as_deref()
    }

    /// The names of the applications that bring settings.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter();
        groups.filter_map(|group| group.application.as_deref())
    }

    /// Rejects rows whose name or flag is one of the server's.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for row in self.rows() {
            let is_taken = |server: &&Setting| {
                server.name == row.name || server.flags.iter().any(|it| row.flags.contains(it))
            };
            if let Some(server) = SETTINGS.iter().find(is_taken) {
                return Err(SettingsError::Taken {
                    name: row.name,
                    server: server.name,
                });
            }
        }
        Ok(())
    }
}
