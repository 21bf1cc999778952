//! The variables of a Python config file. A [`ConfigReader`] executes the file; here are only names and values.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::config_place::{ConfigError, ConfigPlace};
use super::error::SettingsError;
use super::origin::Origin;
use super::served::Served;
use super::setting::{Kind, Setting, Standing};
use super::spelling::nearest;
use super::values::Settings;
use crate::hooks::Hooks;

/// Only a source above the config file can name files to read.
const TOO_LATE: [&str; 2] = ["config", "env_file"];

/// Executes config files.
pub trait ConfigReader: fmt::Debug + Send + Sync {
    /// Executes the file or module at `place`, each time again, and returns its variables.
    fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError>;

    /// Whether a Python application is served if the settings name `application`, or name none.
    fn serves_python(&self, application: Option<&str>) -> bool;
}

/// No interpreter: the `oxicorn` binary, and programs that embed the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInterpreter;

impl ConfigReader for NoInterpreter {
    fn read(&self, _place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
        Err(ConfigError::NoInterpreter)
    }

    fn serves_python(&self, _application: Option<&str>) -> bool {
        false
    }
}

/// A variable of a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// `None`, which leaves a setting at its default.
    Nothing,
    /// A text or a number, in the form that the rows read.
    Text(String),
    Truth(bool),
    List(Vec<String>),
    /// A function that fits its hook, by its name.
    Function(String),
    /// A value that no setting accepts, described: `a dict`, `a function of 3 arguments`.
    Other(String),
}

/// The functions that a config file sets for hooks, before the settings of the server are known.
pub trait HookFunctions: fmt::Debug + Send + Sync {
    /// The hooks of a server with these settings.
    fn with_settings(&self, settings: &Settings) -> Arc<dyn Hooks>;
}

/// The variables of one execution.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    place: ConfigPlace,
    values: Vec<(String, ConfigValue)>,
    functions: Option<Arc<dyn HookFunctions>>,
}

impl ConfigFile {
    /// `functions` are those among the values, if there are any.
    pub fn new(
        place: ConfigPlace,
        values: Vec<(String, ConfigValue)>,
        functions: Option<Arc<dyn HookFunctions>>,
    ) -> Self {
        Self {
            place,
            values,
            functions,
        }
    }

    /// Reads the file that `given` names, or the default one if it exists. The second value is the warnings about it.
    pub(super) fn find(
        reader: &dyn ConfigReader,
        directory: &Path,
        given: Option<(String, Origin)>,
    ) -> Result<(Option<Self>, Vec<String>), SettingsError> {
        let named = given.map(|(text, origin)| (ConfigPlace::parse(&text, directory), origin));
        let is_named = named.is_some();
        let default = || ConfigPlace::default_in(directory).map(|place| (place, Origin::Default));
        let Some((place, origin)) = named.or_else(default) else {
            return Ok((None, Vec::new()));
        };
        if let ConfigPlace::File(path) = &place
            && !path.exists()
        {
            return Err(SettingsError::File {
                origin,
                path: path.clone(),
                source: std::io::Error::from_raw_os_error(libc::ENOENT),
            });
        }
        match reader.read(&place) {
            Ok(file) => Ok((Some(file), Vec::new())),
            Err(error @ ConfigError::NoInterpreter) if !is_named => {
                Ok((None, vec![format!("{place} is ignored: {error}")]))
            }
            Err(source) => Err(SettingsError::ConfigFile { place, source }),
        }
    }

    pub(super) fn hooks(&self, settings: &Settings) -> Option<Arc<dyn Hooks>> {
        let functions = self.functions.as_ref();
        functions.map(|functions| functions.with_settings(settings))
    }

    pub(super) fn place(&self) -> &ConfigPlace {
        &self.place
    }

    /// The values of `row`, and their origin.
    pub(super) fn values(&self, row: &Setting) -> Option<(Vec<String>, Origin)> {
        if TOO_LATE.contains(&row.name) {
            return None;
        }
        let (_, value) = self.values.iter().find(|(name, _)| name == row.name)?;
        let values = match value {
            ConfigValue::Nothing | ConfigValue::Other(_) => return None,
            ConfigValue::Text(text) if text.is_empty() && matches!(row.kind, Kind::List(_)) => {
                Vec::new()
            }
            ConfigValue::Text(text) | ConfigValue::Function(text) => vec![text.clone()],
            ConfigValue::Truth(truth) => vec![text_of(*truth, row)],
            ConfigValue::List(items) => items.clone(),
        };
        Some((values, self.origin(row)))
    }

    fn origin(&self, row: &Setting) -> Origin {
        Origin::ConfigFile {
            place: self.place.clone(),
            name: row.name,
        }
    }

    /// Rejects values of a kind that their setting does not accept.
    pub(super) fn check(&self, served: Served) -> Result<(), SettingsError> {
        for (name, value) in &self.values {
            let Some(row) = served.named(name) else {
                continue;
            };
            let expected = match (row.kind, value) {
                (_, ConfigValue::Nothing) => continue,
                (Kind::Hook(_), _) if row.standing == Standing::Refused => {
                    format!("no such hook: {}", row.help)
                }
                (Kind::Hook(_), ConfigValue::Function(_))
                | (Kind::List(_), ConfigValue::List(_)) => continue,
                (Kind::Hook(1), _) => "a function of 1 argument".to_owned(),
                (Kind::Hook(arity), _) => format!("a function of {arity} arguments"),
                (_, ConfigValue::Text(_)) => continue,
                (Kind::List(_), _) => "a list of texts".to_owned(),
                (
                    Kind::Value(_) | Kind::Secret(_) | Kind::Positional(_),
                    ConfigValue::Truth(true),
                ) if !row.is_number() => "one text, or False for none".to_owned(),
                (_, ConfigValue::Truth(_)) => continue,
                _ => "one text, number or truth value".to_owned(),
            };
            return Err(SettingsError::Value {
                origin: self.origin(row),
                value: value.to_string(),
                expected,
            });
        }
        Ok(())
    }

    /// Names that look like settings and are not, and settings that have no effect here. All other variables
    /// are the file's own business.
    pub(super) fn strange(&self, served: Served) -> Vec<String> {
        let place = &self.place;
        let names = self.values.iter().map(|(name, _)| name.as_str());
        names
            .filter_map(|name| match served.named(name).is_some() {
                true => TOO_LATE
                    .contains(&name)
                    .then(|| format!("{place}: {name} has no effect in a config file")),
                false => self
                    .meant(name, served)
                    .map(|it| format!("{place}: {name} is no setting: did you mean {it}?")),
            })
            .collect()
    }

    /// The setting that an unknown name may have been meant for: one in lower case, one with a flag of that name, or
    /// one that differs by a typing error. A setting that the file also sets by its correct name does not count.
    fn meant(&self, name: &str, served: Served) -> Option<&'static str> {
        let flag = format!("--{}", name.replace('_', "-"));
        let by_flag = served.rows().find(|row| row.flags.contains(&flag.as_str()));
        let lower = name.to_ascii_lowercase();
        let others = [
            ("host", "bind"),
            ("port", "bind"),
            ("ssl_certfile", "certfile"),
            ("ssl_keyfile", "keyfile"),
        ];
        let by_other = others.iter().find(|(other, _)| *other == lower);
        let meant = served
            .named(&lower)
            .or(by_flag.filter(|_| name.len() > 3))
            .map(|row| row.name)
            .or(by_other.map(|(_, row)| *row))
            .or_else(|| nearest(&lower, served))?;
        let is_set = self.values.iter().any(|(other, _)| other == meant);
        (!is_set).then_some(meant)
    }
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("None"),
            Self::Text(text) | Self::Other(text) => f.write_str(text),
            Self::Truth(truth) => f.write_str(if *truth { "True" } else { "False" }),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
            Self::Function(name) => write!(f, "function {name}"),
        }
    }
}

/// A boolean as `row` reads it. In Python a boolean is also a number, and `False` stands for an empty text.
fn text_of(truth: bool, row: &Setting) -> String {
    match row.kind {
        Kind::Value(_) if row.is_number() => u8::from(truth).to_string(),
        Kind::Value(_) | Kind::Secret(_) | Kind::Positional(_) => String::new(),
        _ => truth.to_string(),
    }
}
