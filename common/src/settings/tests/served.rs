//! Which settings exist, and what the environment means, by the application.

use super::*;
use crate::logging::Level;

const PYTHON: &str = "shop.wsgi:application";

/// Variables of the application's own, in forms that no setting accepts.
const OF_APPLICATIONS: [(&str, &str); 8] = [
    ("TILLS", "none"),
    ("RUNNERS", "local"),
    ("WORKERS", "celery"),
    ("THREADS", "many"),
    ("MAX_REQUESTS", "-1"),
    ("MAX_REQUESTS_JITTER", "some"),
    ("LOG_LEVEL", "verbose"),
    ("WEB_CONCURRENCY", "3"),
];

#[test]
fn the_whole_environment_of_a_python_application_is_its_own() {
    for row in SETTINGS
        .iter()
        .chain(application::ROWS)
        .filter(|row| row.bare.is_some())
    {
        let mut known = OF_APPLICATIONS.iter().map(|(name, _)| Some(*name));
        assert!(known.any(|name| name == row.bare), "{}", row.name);
    }
    let loaded = load(&[PYTHON], &OF_APPLICATIONS);
    let expected = Settings {
        application: Some(PYTHON.to_owned()),
        workers: 3,
        runners: 0,
        ..Settings::default()
    };
    assert_eq!(loaded.settings, expected);
    assert_eq!(
        loaded.warnings,
        [
            "variable THREADS: invalid value \"many\": expected a whole number from 1 to 256; it is \
             ignored, and threads is 1 (default)",
            "variable MAX_REQUESTS: invalid value \"-1\": expected a whole number from 0 to \
             18446744073709551615; it is ignored, and max_requests is 0 (default)",
            "variable MAX_REQUESTS_JITTER: invalid value \"some\": expected a whole number from 0 to \
             9223372036854775807; it is ignored, and max_requests_jitter is 0 (default)",
            "variable LOG_LEVEL: invalid value \"verbose\": expected debug, info, warning, error or \
             critical, or a number of Python's from 0 to 50; it is ignored, and loglevel is info \
             (default)",
        ]
    );
    assert!(!loaded.print_config().contains("tills"));
    assert!(!loaded.print_config().contains("runners"));
}

#[test]
fn bare_names_of_a_python_application_count_last() {
    let with = |values: &[(&str, ConfigValue)], environment: &[(&str, &str)]| {
        let values = values.iter().cloned();
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let source = Source {
            reader: Arc::new(config_file::Reader(values.collect())),
            ..source(&["-c", "python:conf", PYTHON], environment)
        };
        Settings::load(&source).expect("good settings")
    };
    let file = [("workers", ConfigValue::Text("1".to_owned()))];
    let bare = ("WORKERS", "7");
    assert_eq!(with(&file, &[bare]).settings.workers, 1);
    assert_eq!(with(&file, &[("WORKERS", "x")]).warnings.len(), 0);
    assert_eq!(
        with(&[], &[bare, ("WEB_CONCURRENCY", "2")])
            .settings
            .workers,
        2
    );
    let settings = with(&[], &[bare, ("THREADS", "5"), ("LOG_LEVEL", "WARN")]).settings;
    assert_eq!((settings.workers, settings.threads), (7, 5));
    assert_eq!(settings.loglevel, Level::Warning);
    assert_eq!(
        with(&file, &[bare, ("GUNICORN_WORKERS", "4")])
            .settings
            .workers,
        4
    );
    let refused = refusal(&[PYTHON], &[("OXICORN_WORKERS", "celery")]);
    assert!(refused.starts_with("variable OXICORN_WORKERS: invalid value"));
    assert!(refusal(&[PYTHON], &[("GUNICORN_LOGLEVEL", "x")]).contains("GUNICORN_LOGLEVEL"));
    assert!(refusal(&[PYTHON], &[("WEB_CONCURRENCY", "x")]).contains("WEB_CONCURRENCY"));
}

#[test]
fn the_config_file_may_name_the_application() {
    let with = |application: &str, environment: &[(&str, &str)]| {
        let text = |value: &str| ConfigValue::Text(value.to_owned());
        let values = vec![
            ("wsgi_app".to_owned(), text(application)),
            ("workers".to_owned(), text("2")),
            (
                "tills".to_owned(),
                ConfigValue::Other("a dictionary".to_owned()),
            ),
        ];
        Settings::load(&Source {
            reader: Arc::new(config_file::Reader(values)),
            ..source(&["-c", "python:conf"], environment)
        })
    };
    let environment = [("WORKERS", "7"), ("TILLS", "0")];
    let loaded = with(PYTHON, &environment).expect("good settings");
    assert_eq!((loaded.settings.workers, loaded.warnings.len()), (2, 0));
    let error = with(application::NAME, &[])
        .expect_err("a setting")
        .to_string();
    assert!(error.contains("setting tills"), "{error}");
    let loaded = with("native:hello", &[("WORKERS", "7")]).expect("good settings");
    assert_eq!(loaded.settings.workers, 7);
    assert!(with("native:hello", &[("WORKERS", "x")]).is_err());
}

#[test]
fn runners_are_for_native_applications() {
    let runners = refusal(&[PYTHON, "--runners", "2"], &[]);
    assert!(runners.contains("native applications"), "{runners}");
}
