//! The settings as JSON, with the types of gunicorn's. Secrets are masked.

use oxicorn_common::Settings;
use oxicorn_common::settings::{Kind, SETTINGS, Setting, mask};
use serde_json::{Map, Value};

use super::ServedApplication;

/// All settings by name, those of the application included. `socket` is where the control socket is.
pub(super) fn show_config(served: &ServedApplication, socket: Option<&str>) -> Value {
    let rows = SETTINGS.iter().chain(served.application.settings());
    let mut config: Map<String, Value> = rows
        .filter(|row| !row.is_hook())
        .map(|row| (row.name.to_owned(), value(row, &served.settings)))
        .collect();
    // Defaults that depend on the environment.
    config.insert("control_socket".to_owned(), socket.into());
    config.insert("proc_name".to_owned(), served.name().into());
    Value::Object(config)
}

fn value(row: &Setting, settings: &Settings) -> Value {
    let shown = mask(&row.shown(settings));
    let items = || shown.split(',').filter(|item| !item.is_empty());
    match row.kind {
        Kind::Switch | Kind::Off => (shown == "true").into(),
        // Its values have commas.
        _ if row.name == "static_cache_control" => {
            let rules = settings.static_files.cache_rules.iter();
            rules.map(|rule| Value::from(rule.to_string())).collect()
        }
        Kind::List(_) => items().map(Value::from).collect(),
        _ if row.name == "bind" => items().map(Value::from).collect(),
        _ if row.name == "worker_class" => settings.worker_class().into(),
        Kind::Value(_) if row.is_number() => number(&shown),
        _ if shown.is_empty() => Value::Null,
        _ => shown.into(),
    }
}

fn number(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => text.parse::<f64>().map_or(Value::Null, Value::from),
    }
}
