//! The settings of a program that embeds the server and sets them itself, one by one.

use super::Settings;
use super::config_file::{ConfigFile, ConfigPlace, ConfigValue};
use super::error::SettingsError;
use super::load::apply;
use super::served::Served;
use super::setting::Setting;

/// The defaults, and one setting of a Python program; the error says what would be right.
pub(super) fn read_one(row: &Setting, value: ConfigValue) -> Result<Settings, String> {
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
