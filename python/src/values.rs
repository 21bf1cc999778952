//! Settings as Python values, with the types of gunicorn's settings.

use nix::unistd::{getegid, geteuid};
use oxicorn_common::Settings;
use oxicorn_common::settings::{Kind, Setting, python_settings};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// All settings that a Python application's server has, by name.
pub(crate) fn of<'py>(py: Python<'py>, settings: &Settings) -> PyResult<Bound<'py, PyDict>> {
    let values = PyDict::new(py);
    for row in python_settings() {
        if !row.is_hook() {
            values.set_item(row.name, value(py, row, settings)?)?;
        }
    }
    Ok(values)
}

pub(crate) fn value<'py>(
    py: Python<'py>,
    row: &Setting,
    settings: &Settings,
) -> PyResult<Bound<'py, PyAny>> {
    let shown = row.shown(settings);
    match row.name {
        "user" => {
            let user = settings.user.unwrap_or_else(geteuid);
            user.as_raw().into_bound_py_any(py)
        }
        "group" => {
            let group = settings.group.unwrap_or_else(getegid);
            group.as_raw().into_bound_py_any(py)
        }
        "umask" => settings.umask.into_bound_py_any(py),
        "control_socket" => {
            let named = settings.control.socket.clone();
            let path = named.or_else(oxicorn::default_control_socket);
            path.map(|path| path.display().to_string())
                .into_bound_py_any(py)
        }
        "control_socket_mode" => settings.control.mode.into_bound_py_any(py),
        "chdir" => match &settings.chdir {
            Some(directory) => directory.into_bound_py_any(py),
            None => std::env::current_dir()?.into_bound_py_any(py),
        },
        "proc_name" => {
            let name = settings.proc_name.as_ref();
            name.or(settings.application.as_ref()).into_bound_py_any(py)
        }
        "bind" => texts(py, settings.bind.iter().map(ToString::to_string)),
        "raw_env" => {
            let pairs = settings.raw_env.iter();
            texts(py, pairs.map(|(name, value)| format!("{name}={value}")))
        }
        "raw_paste_global_conf" => {
            let pairs = settings.python.paste_global.iter();
            texts(py, pairs.map(|(name, value)| format!("{name}={value}")))
        }
        "reload_extra_files" => texts(py, settings.reload.extra_files.iter().cloned()),
        "static_cache_control" => {
            let rules = settings.static_files.cache_rules.iter();
            texts(py, rules.map(ToString::to_string))
        }
        "secure_scheme_headers" => {
            pairs(py, &settings.proxy.secure_scheme_headers)?.into_bound_py_any(py)
        }
        "forwarder_headers" => texts(py, settings.proxy.forwarder_headers.iter().cloned()),
        "forwarded_allow_ips" | "proxy_allow_ips" => texts(py, items(&shown)),
        "logconfig_dict" => py.import("oxicorn.kept")?.call_method1("value", (shown,)),
        _ => by_kind(py, row, &shown),
    }
}

fn by_kind<'py>(py: Python<'py>, row: &Setting, shown: &str) -> PyResult<Bound<'py, PyAny>> {
    match row.kind {
        Kind::Switch | Kind::Off => (shown == "true").into_bound_py_any(py),
        Kind::List(_) => texts(py, items(shown)),
        Kind::Value(_) if row.is_number() => match (shown.parse::<i64>(), shown.parse::<f64>()) {
            (Ok(number), _) => number.into_bound_py_any(py),
            (_, Ok(number)) => number.into_bound_py_any(py),
            _ => Ok(py.None().into_bound(py)),
        },
        _ if shown.is_empty() => Ok(py.None().into_bound(py)),
        _ => shown.into_bound_py_any(py),
    }
}

pub(crate) fn pairs<'py>(
    py: Python<'py>,
    pairs: &[(String, String)],
) -> PyResult<Bound<'py, PyDict>> {
    let dictionary = PyDict::new(py);
    for (name, value) in pairs {
        dictionary.set_item(name, value)?;
    }
    Ok(dictionary)
}

fn items(text: &str) -> impl Iterator<Item = String> {
    let items = text.split(',').filter(|item| !item.is_empty());
    items.map(str::to_owned)
}

fn texts<'py>(py: Python<'py>, texts: impl Iterator<Item = String>) -> PyResult<Bound<'py, PyAny>> {
    let texts: Vec<_> = texts.collect();
    PyList::new(py, texts)?.into_bound_py_any(py)
}
