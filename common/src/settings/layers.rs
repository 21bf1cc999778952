//! The sources of settings, in order of precedence.
//!
//! ```text
//!   command line > OXICORN_CMD_ARGS > GUNICORN_CMD_ARGS > environment > --env-file
//!                > config file > WEB_CONCURRENCY, PORT and the like > default
//!
//!   environment and --env-file:      OXICORN_X > GUNICORN_X > X
//!   for a Python application:        X counts after WEB_CONCURRENCY
//! ```
//!
//! Any source down to the config file may name the application.

use super::command_line::CommandLine;
use super::config_file::ConfigFile;
use super::env_file::EnvFile;
use super::error::SettingsError;
use super::origin::Origin;
use super::served::Served;
use super::setting::Setting;
use super::source::Source;
use super::spelling::nearest;
use super::table::SETTINGS;

/// Further command lines, in the order in which they count.
const MORE_ARGUMENTS: [&str; 2] = ["OXICORN_CMD_ARGS", "GUNICORN_CMD_ARGS"];

/// All sources, highest first.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    command_lines: Vec<CommandLine>,
    source: &'a Source,
    env_file: Option<EnvFile>,
    pub(super) config_file: Option<ConfigFile>,
    /// Warnings about the config file.
    remarks: Vec<String>,
    /// The application that the sources read so far name.
    pub(super) served: Served,
}

impl<'a> Layers<'a> {
    pub(super) fn read(source: &'a Source) -> Result<Self, SettingsError> {
        let mut layers = Self::above_config_file(source)?;
        let given = layers.file_name("config");
        (layers.config_file, layers.remarks) =
            ConfigFile::find(&*source.reader, &source.directory, given)?;
        layers.served = layers.find_served();
        layers.check_flags()?;
        if let Some(file) = &layers.config_file {
            file.check(layers.served)?;
            layers.remarks.extend(file.strange(layers.served));
        }
        Ok(layers)
    }

    pub(super) fn above_config_file(source: &'a Source) -> Result<Self, SettingsError> {
        let applications = &source.applications;
        applications.check()?;
        let mut layers = Self {
            command_lines: vec![CommandLine::parse(&source.arguments, applications)?],
            source,
            env_file: None,
            config_file: None,
            remarks: Vec::new(),
            served: Served::Native(&[]),
        };
        for variable in MORE_ARGUMENTS {
            if let Some(text) = layers.variable(variable) {
                let more = CommandLine::parse_variable(variable, text, applications)?;
                layers.command_lines.push(more);
            }
        }
        if let Some((name, origin)) = layers.file_name("env_file") {
            // In the form of systemd's EnvironmentFile=.
            let (name, is_optional) = match name.strip_prefix('-') {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            let path = source.directory.join(name);
            if !is_optional || path.exists() {
                layers.env_file = Some(EnvFile::read(&path, origin)?);
            }
        }
        Ok(layers)
    }

    /// The file that the row called `name` names, in the sources read so far.
    pub(super) fn file_name(&self, name: &str) -> Option<(String, Origin)> {
        let (values, origin) = self.find(self.served.named(name)?).next()?;
        let name = values.into_iter().next_back()?;
        (!name.is_empty()).then_some((name, origin))
    }

    fn find_served(&self) -> Served {
        let named = |row| self.file_name(row).map(|(name, _)| name);
        let application = named("paste").or_else(|| named("wsgi_app"));
        let application = application.as_deref();
        match self.source.reader.serves_python(application) {
            true => Served::Python,
            false => Served::Native(self.source.applications.of(application)),
        }
    }

    /// Rejects flags of an application other than the one that is served.
    fn check_flags(&self) -> Result<(), SettingsError> {
        for row in self.known().filter(|row| !self.served.has(row)) {
            let mut lines = self.command_lines.iter();
            if let Some((_, origin)) = lines.find_map(|line| line.values(row)) {
                let of = self.owner(row).to_owned();
                return Err(SettingsError::Foreign { origin, of });
            }
        }
        Ok(())
    }

    /// The values of each source that sets `row`.
    pub(super) fn find(&self, row: &Setting) -> impl Iterator<Item = (Vec<String>, Origin)> {
        let (high, low) = self.served.variables(row);
        let lines = self.command_lines.iter();
        let file = self.config_file.as_ref();
        lines
            .filter_map(|line| line.values(row))
            .chain(self.in_variables(&high))
            .chain(file.and_then(|file| file.values(row)))
            .chain(self.in_variables(&low))
    }

    fn in_variables(&self, names: &[String]) -> Vec<(Vec<String>, Origin)> {
        let environment = names.iter().filter_map(|name| self.in_environment(name));
        let env_file = names.iter().filter_map(|name| self.in_env_file(name));
        environment.chain(env_file).collect()
    }

    /// A variable of the environment; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.source.environment.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    fn in_environment(&self, name: &str) -> Option<(Vec<String>, Origin)> {
        let value = self.variable(name)?;
        Some((vec![value.to_owned()], Origin::Variable(name.to_owned())))
    }

    fn in_env_file(&self, name: &str) -> Option<(Vec<String>, Origin)> {
        let (value, origin) = self.env_file.as_ref()?.value(name)?;
        Some((vec![value.to_owned()], origin))
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let environment = self.source.environment.keys();
        let environment = environment
            .filter(|name| !MORE_ARGUMENTS.contains(&name.as_str()))
            .map(|name| (name.as_str(), String::new()));
        let env_file = self.env_file.iter().flat_map(EnvFile::variables);
        environment
            .chain(env_file)
            .filter(|(name, _)| !is_of_others(name))
            .filter_map(|(name, place)| {
                let mut prefixes = ["OXICORN_", "GUNICORN_"].into_iter();
                let prefix = prefixes.find(|it| name.starts_with(it))?;
                let why = self.not_a_setting(name)?;
                let setting = name[prefix.len()..].to_ascii_lowercase();
                let meant = nearest(&setting, self.served)
                    .map(|it| format!(": did you mean {prefix}{}?", it.to_ascii_uppercase()));
                let meant = meant.unwrap_or_default();
                Some(format!(
                    "{place}variable {name} is {why} and is ignored{meant}"
                ))
            })
            .chain(self.remarks.iter().cloned())
            .collect()
    }

    /// Why the variable has no effect.
    fn not_a_setting(&self, name: &str) -> Option<String> {
        match self
            .known()
            .find(|row| row.prefixed().any(|variable| variable == name))
        {
            None => Some("no setting".to_owned()),
            Some(row) if !self.served.has(row) => Some(format!("a setting of {}", self.owner(row))),
            Some(_) => None,
        }
    }

    /// The settings of the server and of all applications.
    fn known(&self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().chain(self.source.applications.rows())
    }

    /// The application that a setting belongs to, if not every server has it.
    fn owner(&self, row: &Setting) -> &str {
        let owner = self.source.applications.owner(row.name);
        owner.unwrap_or("native applications")
    }
}

/// Whether a variable is not a setting, but belongs to Kubernetes, for a Service of our name, to
/// `scripts/services`, or to a gunicorn that has started us on SIGUSR2.
fn is_of_others(name: &str) -> bool {
    let known = ["OXICORN_SERVICES_DIR", "GUNICORN_FD", "GUNICORN_PID"];
    known.contains(&name)
        || ["OXICORN", "GUNICORN"].iter().any(|of| {
            let rest = name.strip_prefix(of).unwrap_or_default();
            rest == "_PORT" || rest.starts_with("_SERVICE_") || rest.starts_with("_PORT_")
        })
}
