//! Reads the settings: each row from its highest source (see [`super::layers`]). Then it makes the checks that need
//! several settings.

use std::path::Path;
use std::sync::Arc;

use super::admin;
use super::error::SettingsError;
use super::layers::Layers;
use super::origin::Origin;
use super::parse;
use super::scaling;
use super::secrets::{MASK, mask};
use super::setting::{Kind, Setting, Standing};
use super::source::Source;
use super::values::Settings;
use crate::hooks::{Hooks, NoHooks};
use crate::logging::AccessFormat;

/// Settings, and the warnings about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub settings: Settings,
    /// One line per warning; none of them prevents a start.
    pub warnings: Vec<String>,
    /// Calls the functions of the config file.
    pub hooks: Arc<dyn Hooks>,
    /// The settings that select the application, each with its origin.
    origins: Vec<(&'static Setting, Origin)>,
}

impl Settings {
    /// Reads all settings from `source`, which a reload may read again.
    pub fn load(source: &Source) -> Result<Loaded, SettingsError> {
        Loaded::read(source)
    }
}

impl Loaded {
    fn read(source: &Source) -> Result<Self, SettingsError> {
        let layers = Layers::read(source)?;
        let mut loaded = Self {
            settings: Settings::with_defaults(layers.served.own_rows()),
            warnings: layers.warnings(),
            hooks: Arc::new(NoHooks),
            origins: Vec::new(),
        };
        if !layers.served.has_runners() {
            loaded.settings.runners = 0;
        }
        for row in layers.served.rows() {
            let origin = loaded.take(row, &layers)?;
            loaded.origins.push((row, origin));
        }
        if let Some(file) = &layers.config_file {
            loaded.settings.config = Some(file.place().to_string());
        }
        loaded.settle(&source.directory)?;
        loaded.explain();
        let file = layers.config_file.as_ref();
        if let Some(hooks) = file.and_then(|file| file.hooks(&loaded.settings)) {
            loaded.hooks = hooks;
        }
        Ok(loaded)
    }

    /// The config file that `source` names, if it names one.
    pub fn config_given(source: &Source) -> Result<Option<String>, SettingsError> {
        let given = Layers::above_config_file(source)?.file_name("config");
        Ok(given.map(|(name, _)| name))
    }

    /// Every setting with its value and origin, one per line, by name.
    pub fn print_config(&self) -> String {
        let mut rows: Vec<_> = self.origins.iter().collect();
        rows.sort_by_key(|(row, _)| row.name);
        let width = rows.iter().map(|(row, _)| row.name.len()).max();
        let width = width.unwrap_or_default();
        let line = |(row, origin): &&(&Setting, Origin)| {
            let value = mask(&row.shown(&self.settings));
            format!("{:width$} = {value:30} # {origin}\n", row.name)
        };
        rows.iter().map(line).collect()
    }

    /// The origin of the row called `name`.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        let mut rows = self.origins.iter();
        rows.find(|(row, _)| row.name == name)
            .map(|(_, origin)| origin)
    }

    /// Sets `row` from its highest source with a readable value; returns that source.
    fn take(&mut self, row: &Setting, layers: &Layers<'_>) -> Result<Origin, SettingsError> {
        let mut ignored = Vec::new();
        let mut taken = Origin::Default;
        for (values, origin) in layers.find(row) {
            match apply(row, &mut self.settings, &values, &origin) {
                Err(error) if layers.served.may_own(row, &origin) => ignored.push(error),
                outcome => {
                    outcome?;
                    taken = origin;
                    break;
                }
            }
        }
        for error in ignored {
            let (name, value) = (row.name, row.shown(&self.settings));
            self.warnings.push(format!(
                "{error}; it is ignored, and {name} is {value} ({taken})"
            ));
        }
        Ok(taken)
    }

    /// Makes directories absolute, so that they stay the same in a reload, and makes the checks that need more than
    /// one setting.
    fn settle(&mut self, start: &Path) -> Result<(), SettingsError> {
        let default_head = self.origin("limit_request_head") == Some(&Origin::Default);
        let default_workers = self.origin("workers") == Some(&Origin::Default);
        scaling::settle(&mut self.settings, default_workers);
        let settings = &mut self.settings;
        settings.env_file = settings.env_file.take().map(|path| match path.to_str() {
            Some(optional) if optional.starts_with('-') => {
                let path = start.join(&optional[1..]);
                format!("-{}", path.display()).into()
            }
            _ => start.join(path),
        });
        settings.chdir = settings.chdir.take().map(|path| start.join(path));
        let base = settings.chdir.clone().unwrap_or_else(|| start.to_owned());
        settings.tmp_upload_dir = settings.tmp_upload_dir.take().map(|path| base.join(path));
        if default_head {
            // Longer lines need longer heads.
            let lines = settings.limit_request_line
                + 2 * settings.limit_request_field_size.min(usize::MAX / 4);
            settings.limit_request_head = settings.limit_request_head.max(lines);
        }
        settings.static_files.settle(&base);
        for path in &mut settings.python.path {
            *path = base.join(&path);
        }
        // gunicorn also looks for these before it changes to chdir.
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
        if let Some(problem) = admin::find_problem(&self.settings) {
            return Err(self.refuse(problem.name, problem.value, problem.expected));
        }
        let format = &self.settings.access_log_format;
        if self.settings.access_log_json && matches!(AccessFormat::json(format), Ok(None)) {
            let expected = "a JSON object with atoms as values, as access_log_json is on";
            return Err(self.refuse("access_log_format", format.clone(), expected.to_owned()));
        }
        let most = parse::MOST_WORKERS - self.settings.runners;
        if self.settings.workers > most {
            let value = self.settings.workers.to_string();
            let expected = format!("{most} at most with runners = {}", self.settings.runners);
            return Err(self.refuse("workers", value, expected));
        }
        if let Some(problem) = scaling::find_problem(&self.settings) {
            return Err(self.refuse(problem.name, problem.value, problem.expected));
        }
        Ok(())
    }

    /// Checks that files and directories exist.
    fn check_files(&mut self) -> Result<(), SettingsError> {
        if let Some(paste) = &self.settings.python.paste {
            let file = paste.split('#').next().unwrap_or_default();
            if !Path::new(file).exists() {
                let expected = "a PasteDeploy file that exists".to_owned();
                return Err(self.refuse("paste", paste.clone(), expected));
            }
            // A file that also configures Python's logging is meant for it, as in gunicorn.
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
        if let Some(map) = settings.static_files.find_missing() {
            let expected = "a directory or a file that exists".to_owned();
            return Err(self.refuse("static_map", map.to_string(), expected));
        }
        match (&settings.tls.certfile, &settings.tls.keyfile) {
            // A file with a certificate alone may also hold its key.
            (None, Some(file)) => {
                let expected = "a certfile beside the keyfile".to_owned();
                Err(self.refuse("keyfile", file.display().to_string(), expected))
            }
            _ => Ok(()),
        }
    }

    /// Reports why a setting has no effect, and what is probably a mistake.
    fn explain(&mut self) {
        let format = self.settings.access_format();
        for doubt in format.iter().flat_map(AccessFormat::doubts) {
            let origin = self.origin("access_log_format").unwrap_or(&Origin::Default);
            self.warnings
                .push(format!("{origin}: access_log_format: {doubt}"));
        }
        for (row, origin) in &self.origins {
            if let Standing::NoEffect(reason) = row.standing
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
        let port = row.fallback() == Some("PORT") && origin.variable() == Some("PORT");
        let result = match port {
            true => apply_port(row, settings, value),
            false if value.is_empty() && matches!(row.kind, Kind::List(_)) => {
                Err("a value".to_owned())
            }
            false => (row.apply)(settings, value),
        };
        result.map_err(|expected| SettingsError::Value {
            origin: origin.clone(),
            value: match row.kind {
                Kind::Secret(_) => MASK.to_owned(),
                _ => value.clone(),
            },
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
