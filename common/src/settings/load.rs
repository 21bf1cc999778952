//! Reading settings: for each row the highest source that has it, then what concerns several.
//!
//! ```text
//!   command line > OXICORN_CMD_ARGS > GUNICORN_CMD_ARGS > environment > --env-file
//!                > config file > WEB_CONCURRENCY, PORT and the like > default
//! ```

use std::path::Path;
use std::sync::Arc;

use super::Settings;
use super::command_line::CommandLine;
use super::config_file::ConfigFile;
use super::env_file::EnvFile;
use super::error::SettingsError;
use super::origin::Origin;
use super::parse;
use super::setting::{Kind, Setting, Standing};
use super::source::Source;
use super::table::SETTINGS;
use crate::hooks::{Hooks, NoHooks};

/// More of the command line, in the order in which they count.
const MORE_ARGUMENTS: [&str; 2] = ["OXICORN_CMD_ARGS", "GUNICORN_CMD_ARGS"];

/// Settings, and what there is to say about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    /// One line each; nothing that stops a start.
    pub warnings: Vec<String>,
    /// What calls the functions of the config file.
    pub hooks: Arc<dyn Hooks>,
    /// Where each row of [`SETTINGS`] came from, in the same order.
    origins: Vec<Origin>,
}

impl Loaded {
    pub(super) fn read(source: &Source) -> Result<Self, SettingsError> {
        let layers = Layers::read(source)?;
        let mut loaded = Self {
            settings: Settings::default(),
            warnings: layers.warnings(),
            hooks: match &layers.config_file {
                Some(file) => file.hooks(),
                None => Arc::new(NoHooks),
            },
            origins: Vec::with_capacity(SETTINGS.len()),
        };
        for row in SETTINGS {
            let (values, origin) = layers.find(row);
            if origin != Origin::Default {
                apply(row, &mut loaded.settings, &values, &origin)?;
            }
            loaded.origins.push(origin);
        }
        if let Some(file) = &layers.config_file {
            loaded.settings.config = Some(file.place().to_string());
        }
        loaded.settle(&source.directory)?;
        loaded.explain();
        Ok(loaded)
    }

    /// The config file that `source` names, if it names one.
    pub fn config_given(source: &Source) -> Result<Option<String>, SettingsError> {
        let given = Layers::above_config_file(source)?.file_name("config");
        Ok(given.map(|(name, _)| name))
    }

    /// Every setting, its value and where it came from, a line each, by name.
    pub fn print_config(&self) -> String {
        let mut rows: Vec<_> = SETTINGS.iter().zip(&self.origins).collect();
        rows.sort_by_key(|(row, _)| row.name);
        let width = rows.iter().map(|(row, _)| row.name.len()).max();
        let width = width.unwrap_or_default();
        let line = |(row, origin): &(&Setting, &Origin)| {
            let value = row.shown(&self.settings);
            format!("{:width$} = {value:30} # {origin}\n", row.name)
        };
        rows.iter().map(line).collect()
    }

    /// Where the row called `name` came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        let mut rows = SETTINGS.iter().zip(&self.origins);
        rows.find(|(row, _)| row.name == name)
            .map(|(_, origin)| origin)
    }

    /// Makes directories absolute, so that a reload means the same ones, and checks what takes more
    /// than one setting to know.
    fn settle(&mut self, start: &Path) -> Result<(), SettingsError> {
        let settings = &mut self.settings;
        settings.env_file = settings.env_file.take().map(|path| start.join(path));
        settings.chdir = settings.chdir.take().map(|path| start.join(path));
        let base = settings.chdir.clone().unwrap_or_else(|| start.to_owned());
        settings.tmp_upload_dir = settings.tmp_upload_dir.take().map(|path| base.join(path));
        for path in &mut settings.python.path {
            *path = base.join(&path);
        }
        // What gunicorn looks for before it goes to chdir.
        let paste = settings.python.paste.take();
        settings.python.paste = paste.map(|path| start.join(path).display().to_string());
        for file in &mut settings.reload.extra_files {
            *file = start.join(&file).display().to_string();
        }
        let directories = [
            ("chdir", &self.settings.chdir),
            ("tmp_upload_dir", &self.settings.tmp_upload_dir),
        ];
        for (name, directory) in directories {
            if let Some(path) = directory.as_ref().filter(|path| !path.is_dir()) {
                let value = path.display().to_string();
                return Err(self.refuse(name, value, "a directory that exists".to_owned()));
            }
        }
        if self.settings.bind.is_empty() {
            let expected = "an address at least".to_owned();
            return Err(self.refuse("bind", String::new(), expected));
        }
        self.check_files()?;
        let most = parse::MOST_WORKERS - self.settings.runners;
        if self.settings.workers > most {
            let value = self.settings.workers.to_string();
            let expected = format!("{most} at most with runners = {}", self.settings.runners);
            return Err(self.refuse("workers", value, expected));
        }
        Ok(())
    }

    /// Checks what has to be there.
    fn check_files(&mut self) -> Result<(), SettingsError> {
        if let Some(paste) = &self.settings.python.paste {
            let file = paste.split('#').next().unwrap_or_default();
            if !Path::new(file).exists() {
                let expected = "a PasteDeploy file that exists".to_owned();
                return Err(self.refuse("paste", paste.clone(), expected));
            }
            // A file that configures Python's logging too is meant for it, as in gunicorn.
            let configures = has_loggers(Path::new(file)).then(|| file.into());
            let logconfig = &mut self.settings.logconfig;
            logconfig.file = logconfig.file.take().or(configures);
        }
        let settings = &self.settings;
        let is_pattern = |file: &&String| file.contains(['*', '?', '[']);
        let mut files = settings.reload.extra_files.iter();
        if let Some(file) = files.find(|file| !is_pattern(file) && !Path::new(file).exists()) {
            let expected = "a file that exists, or a pattern".to_owned();
            return Err(self.refuse("reload_extra_files", file.clone(), expected));
        }
        match (&settings.tls.certfile, &settings.tls.keyfile) {
            // A certificate alone may have its key in the same file.
            (None, Some(file)) => {
                let expected = "a certfile beside the keyfile".to_owned();
                Err(self.refuse("keyfile", file.display().to_string(), expected))
            }
            _ => Ok(()),
        }
    }

    /// Says why what was set has no effect.
    fn explain(&mut self) {
        for (row, origin) in SETTINGS.iter().zip(&self.origins) {
            if let Standing::Accepted(reason) = row.standing
                && row.shown(&self.settings) != row.default
            {
                let name = row.name;
                self.warnings
                    .push(format!("{origin}: {name} has no effect: {reason}"));
            }
        }
    }

    fn refuse(&self, name: &str, value: String, expected: String) -> SettingsError {
        SettingsError::Value {
            origin: self.origin(name).cloned().unwrap_or(Origin::Default),
            value,
            expected,
        }
    }
}

/// Whether an INI file has a section for loggers.
fn has_loggers(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.trim_end() == "[loggers]")
}

/// Reads `values` into the field of `row`.
pub(super) fn apply(
    row: &Setting,
    settings: &mut Settings,
    values: &[String],
    origin: &Origin,
) -> Result<(), SettingsError> {
    if matches!(row.kind, Kind::List(_)) {
        (row.apply)(settings, "").ok();
    }
    if let (Kind::Hook(_), [function]) = (row.kind, values) {
        settings.hooks.keep(row.name, function);
        return Ok(());
    }
    for value in values {
        let port = row.fallback() == Some("PORT") && is_variable(origin, "PORT");
        let result = match port {
            true => apply_port(row, settings, value),
            false if value.is_empty() && matches!(row.kind, Kind::List(_)) => {
                Err("a value".to_owned())
            }
            false => (row.apply)(settings, value),
        };
        result.map_err(|expected| SettingsError::Value {
            origin: origin.clone(),
            value: value.clone(),
            expected,
        })?;
    }
    Ok(())
}

/// The variable PORT names a port on every interface, as gunicorn reads it.
fn apply_port(row: &Setting, settings: &mut Settings, value: &str) -> Result<(), String> {
    let port = parse::number(value, 0..=u16::MAX)?;
    (row.apply)(settings, &format!("0.0.0.0:{port}"))
}

fn is_variable(origin: &Origin, name: &str) -> bool {
    match origin {
        Origin::Variable(variable) | Origin::EnvFile { variable, .. } => variable == name,
        _ => false,
    }
}

/// All sources, highest first.
#[derive(Debug)]
struct Layers<'a> {
    command_lines: Vec<CommandLine>,
    source: &'a Source,
    env_file: Option<EnvFile>,
    config_file: Option<ConfigFile>,
    /// What there is to say about the config file.
    remarks: Vec<String>,
}

impl<'a> Layers<'a> {
    fn read(source: &'a Source) -> Result<Self, SettingsError> {
        let mut layers = Self::above_config_file(source)?;
        let given = layers.file_name("config");
        (layers.config_file, layers.remarks) =
            ConfigFile::find(&*source.reader, &source.directory, given)?;
        Ok(layers)
    }

    fn above_config_file(source: &'a Source) -> Result<Self, SettingsError> {
        let mut layers = Self {
            command_lines: vec![CommandLine::parse(&source.arguments)?],
            source,
            env_file: None,
            config_file: None,
            remarks: Vec::new(),
        };
        for variable in MORE_ARGUMENTS {
            if let Some(text) = layers.variable(variable) {
                let more = CommandLine::parse_variable(variable, text)?;
                layers.command_lines.push(more);
            }
        }
        if let Some((name, origin)) = layers.file_name("env_file") {
            let path = source.directory.join(name);
            layers.env_file = Some(EnvFile::read(&path, origin)?);
        }
        Ok(layers)
    }

    /// The file that the row called `name` names so far.
    fn file_name(&self, name: &str) -> Option<(String, Origin)> {
        let row = SETTINGS.iter().find(|row| row.name == name)?;
        let (values, origin) = self.find_given(row)?;
        let name = values.into_iter().next_back()?;
        (!name.is_empty()).then_some((name, origin))
    }

    /// The values of the highest source that has any.
    fn find(&self, row: &Setting) -> (Vec<String>, Origin) {
        self.find_given(row)
            .unwrap_or_else(|| (vec![row.default.to_owned()], Origin::Default))
    }

    fn find_given(&self, row: &Setting) -> Option<(Vec<String>, Origin)> {
        self.command_lines
            .iter()
            .find_map(|line| line.values(row))
            .or_else(|| row.variables().find_map(|name| self.in_environment(&name)))
            .or_else(|| row.variables().find_map(|name| self.in_env_file(&name)))
            .or_else(|| self.config_file.as_ref()?.values(row))
            .or_else(|| self.in_environment(row.fallback()?))
            .or_else(|| self.in_env_file(row.fallback()?))
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

    fn warnings(&self) -> Vec<String> {
        let environment = self.source.environment.keys();
        let environment = environment
            .filter(|name| !MORE_ARGUMENTS.contains(&name.as_str()))
            .map(|name| (name.as_str(), String::new()));
        let env_file = self.env_file.iter().flat_map(EnvFile::variables);
        environment
            .chain(env_file)
            .filter(|(name, _)| name.starts_with("OXICORN_") && !is_known(name))
            .map(|(name, place)| format!("{place}variable {name} is no setting and is ignored"))
            .chain(self.remarks.iter().cloned())
            .collect()
    }
}

/// Variables that are no settings: one of Kubernetes, one of `scripts/services`.
const OF_OTHERS: [&str; 2] = ["OXICORN_PORT", "OXICORN_SERVICES_DIR"];

/// Whether a variable is a setting, or one that Kubernetes makes for a Service called `oxicorn`.
fn is_known(name: &str) -> bool {
    let of_service = ["OXICORN_SERVICE_", "OXICORN_PORT_"];
    OF_OTHERS.contains(&name)
        || of_service.iter().any(|prefix| name.starts_with(prefix))
        || SETTINGS
            .iter()
            .any(|row| row.variables().any(|variable| variable == name))
}
