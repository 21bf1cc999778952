//! Settings of a Python program that embeds the server. It sets them one by one, and may read a command line by
//! the same rows.

use std::ffi::OsString;

use super::application_settings::ApplicationSettings;
use super::command_line::CommandLine;
use super::config_file::{ConfigFile, ConfigValue};
use super::config_place::ConfigPlace;
use super::error::SettingsError;
use super::load::apply;
use super::served::{Served, python_settings};
use super::setting::Setting;
use super::values::Settings;

impl Settings {
    /// The defaults with `value` for one setting of a Python program; the error states a correct form.
    pub fn with(row: &Setting, value: ConfigValue) -> Result<Self, String> {
        let place = ConfigPlace::Module(String::new());
        let file = ConfigFile::new(place, vec![(row.name.to_owned(), value)], None);
        let mut settings = Settings::default();
        let read = file.check(Served::Python).and_then(|()| {
            let values = file.values(row);
            values.map_or(Ok(()), |(values, origin)| {
                apply(row, &mut settings, &values, &origin)
            })
        });
        match read {
            Ok(()) => Ok(settings),
            Err(SettingsError::Value {
                value, expected, ..
            }) => Err(format!("{} = {value}: expected {expected}", row.name)),
            Err(other) => Err(other.to_string()),
        }
    }

    /// The settings, by name, that `arguments` set for a Python application without any other source. The first
    /// argument is the program name.
    pub fn on_command_line(
        arguments: &[OsString],
    ) -> Result<Vec<(&'static str, Vec<String>)>, SettingsError> {
        let line = CommandLine::parse(arguments, &ApplicationSettings::default())?;
        let given = |row: &Setting| Some((row.name, line.values(row)?.0));
        Ok(python_settings().filter_map(given).collect())
    }
}
