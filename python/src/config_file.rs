//! Config files, executed by the interpreter of this process.

use std::path::PathBuf;
use std::sync::Arc;

use oxicorn_common::Settings;
use oxicorn_common::settings::{
    ConfigError, ConfigFile, ConfigPlace, ConfigReader, ConfigValue, HookFunctions, Kind, SETTINGS,
    Setting,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::hooks::PythonFunctions;
use crate::{trace, values};

/// Name, kind and value.
type Variable<'py> = (String, String, Bound<'py, PyAny>);

/// Executes config files in the master, with `directory` at the front of the module search path.
#[derive(Debug)]
pub(crate) struct PythonConfigReader {
    pub(crate) directory: PathBuf,
}

impl ConfigReader for PythonConfigReader {
    fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
        Python::attach(|py| {
            self.execute(py, place).map_err(|exception| {
                let value = exception.value(py);
                let known = value
                    .get_type()
                    .name()
                    .is_ok_and(|name| name == "ConfigFileError");
                ConfigError::Failed(match known {
                    true => value.to_string(),
                    false => trace::text(py, &exception),
                })
            })
        })
    }

    fn serves_python(&self, application: Option<&str>) -> bool {
        application.is_some_and(|name| !name.starts_with("native:"))
    }
}

impl PythonConfigReader {
    fn execute(&self, py: Python<'_>, place: &ConfigPlace) -> PyResult<ConfigFile> {
        let (name, is_module) = match place {
            ConfigPlace::File(path) => (path.as_os_str().to_owned(), false),
            ConfigPlace::Module(name) => (name.into(), true),
        };
        let module = py.import("oxicorn.config_file")?;
        let arguments = (name, is_module, &self.directory, hook_arities(py)?);
        file(place, &module.call_method1("read", arguments)?)
    }
}

/// How many arguments each hook takes, by its name.
pub(crate) fn hook_arities(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let hooks = PyDict::new(py);
    for row in SETTINGS {
        if let Kind::Hook(arity) = row.kind {
            hooks.set_item(row.name, arity)?;
        }
    }
    Ok(hooks)
}

/// Converts what `oxicorn.config_file` has `read`.
pub(crate) fn file(place: &ConfigPlace, read: &Bound<'_, PyAny>) -> PyResult<ConfigFile> {
    let (values, functions): (Vec<Variable<'_>>, Bound<'_, PyDict>) = read.extract()?;
    let values = values
        .into_iter()
        .map(|(name, kind, what)| Ok((name, value(&kind, &what)?)))
        .collect::<PyResult<_>>()?;
    let functions: Option<Arc<dyn HookFunctions>> = match functions.is_empty() {
        true => None,
        false => Some(Arc::new(PythonFunctions::new(functions)?)),
    };
    Ok(ConfigFile::new(place.clone(), values, functions))
}

/// Validates a value that an embedding program sets, and returns what the server makes of it.
pub(crate) fn checked<'py>(
    row: &Setting,
    kind: &str,
    what: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let read = Settings::with(row, value(kind, what)?);
    values::value(what.py(), row, &read.map_err(PyValueError::new_err)?)
}

fn value(kind: &str, what: &Bound<'_, PyAny>) -> PyResult<ConfigValue> {
    Ok(match kind {
        "text" => ConfigValue::Text(what.extract()?),
        "truth" => ConfigValue::Truth(what.extract()?),
        "list" => ConfigValue::List(what.extract()?),
        "function" => ConfigValue::Function(what.extract()?),
        "nothing" => ConfigValue::Nothing,
        _ => ConfigValue::Other(what.extract()?),
    })
}
