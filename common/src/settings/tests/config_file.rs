//! The config file between environment and defaults, with a reader that returns set values.

use super::*;

#[derive(Debug)]
pub(super) struct Reader(pub(super) Vec<(String, ConfigValue)>);

impl ConfigReader for Reader {
    fn read(&self, place: &ConfigPlace) -> Result<ConfigFile, ConfigError> {
        Ok(ConfigFile::new(place.clone(), self.0.clone(), None))
    }

    fn serves_python(&self, application: Option<&str>) -> bool {
        application.is_some_and(|name| !name.starts_with("native:"))
    }
}

fn text(value: &str) -> ConfigValue {
    ConfigValue::Text(value.to_owned())
}

fn list(values: &[&str]) -> ConfigValue {
    ConfigValue::List(values.iter().map(|&it| it.to_owned()).collect())
}

fn with(values: &[(&str, ConfigValue)], environment: &[(&str, &str)]) -> Source {
    let values = values.iter().cloned();
    let values = values.map(|(name, value)| (name.to_owned(), value));
    Source {
        reader: Arc::new(Reader(values.collect())),
        ..source(&["-c", "python:conf"], environment)
    }
}

fn read(values: &[(&str, ConfigValue)], environment: &[(&str, &str)]) -> Loaded {
    Settings::load(&with(values, environment)).expect("good settings")
}

fn complaint(name: &str, value: ConfigValue) -> String {
    let source = with(&[(name, value)], &[]);
    let error = Settings::load(&source).expect_err("bad settings");
    assert_eq!(error.exit_code(), 1);
    error.to_string()
}

#[test]
fn every_row_can_be_set() {
    for row in textual().filter(|row| !["config", "env_file"].contains(&row.name)) {
        let mut values = vec![(row.name, text(sample(row)))];
        match row.name {
            "keyfile" => values.push(("certfile", text("/nowhere/y.pem"))),
            "certfile" => values.push(("keyfile", text("/nowhere/y.pem"))),
            "admin_keyfile" | "admin_ca_certs" => {
                values.push(("admin_certfile", text("/nowhere/y.pem")));
            }
            "min_workers" => values.push(("max_workers", text("20"))),
            _ => {}
        }
        let loaded = read(&values, &[]);
        assert_eq!(row.shown(&loaded.settings), expected(row), "{}", row.name);
        let origin = loaded.origin(row.name).expect("a row").to_string();
        assert_eq!(
            origin,
            format!("config file python:conf: setting {}", row.name)
        );
    }
}

#[test]
fn truths_are_what_their_setting_makes_of_them() {
    let truth = ConfigValue::Truth;
    let read = |name, value| read(&[(name, value)], &[]).settings;
    assert!(read("daemon", truth(true)).daemon && !read("sendfile", truth(false)).sendfile);
    assert_eq!(read("max_requests", truth(false)).max_requests, 0);
    assert_eq!(read("workers", truth(true)).workers, 1);
    for value in [truth(false), text(""), ConfigValue::Nothing] {
        assert_eq!(read("accesslog", value.clone()).accesslog, None);
        assert_eq!(read("pidfile", value.clone()).pidfile, None);
        assert_eq!(read("certfile", value).tls.certfile, None);
    }
    assert!(complaint("accesslog", truth(true)).contains("expected one text, or False for none"));
    assert!(complaint("bind", truth(false)).contains("a list of texts"));
}

#[test]
fn it_ranks_between_the_environment_and_what_replaces_defaults() {
    let bind = [("bind", list(&["a:1", "unix:/s"])), ("workers", text("3"))];
    let weak = [("PORT", "9"), ("WEB_CONCURRENCY", "8")];
    let settings = read(&bind, &weak).settings;
    assert_eq!((settings.bind.len(), settings.workers), (2, 3));
    let settings = read(&bind, &[("WORKERS", "4"), ("GUNICORN_BIND", "b:2")]).settings;
    assert_eq!((settings.bind.len(), settings.workers), (1, 4));
    let settings = read(&[("workers", ConfigValue::Nothing)], &weak).settings;
    assert_eq!(settings.workers, 8);
}

#[test]
fn values_of_other_kinds_are_refused_with_what_would_be_right() {
    let other = |what: &str| ConfigValue::Other(what.to_owned());
    for (name, value, says) in [
        (
            "workers",
            text("many"),
            "config file python:conf: setting workers: invalid value \"many\": expected a whole \
             number from 1 to 250, or auto",
        ),
        (
            "workers",
            list(&["1", "2"]),
            "config file python:conf: setting workers: invalid value \"[1, 2]\": expected one \
             text, number or truth value",
        ),
        (
            "raw_env",
            other("a dict"),
            "config file python:conf: setting raw_env: invalid value \"a dict\": expected a list \
             of texts",
        ),
        (
            "post_fork",
            other("a function of 3 arguments"),
            "config file python:conf: setting post_fork: invalid value \"a function of 3 \
             arguments\": expected a function of 2 arguments",
        ),
    ] {
        assert_eq!(complaint(name, value), says);
    }
    let function = || ConfigValue::Function("f".to_owned());
    assert!(complaint("ssl_context", function()).contains("certfile"));
    assert!(complaint("on_dirty_starting", function()).contains("dirty workers"));
    assert!(complaint("workers", function()).contains("function f"));
    assert!(complaint("bind", list(&[])).contains("an address at least"));
    assert!(complaint("raw_env", list(&["A=b", ""])).contains("expected a value"));
}

#[test]
fn hooks_are_known_and_shown() {
    let hook = ConfigValue::Function("when_ready".to_owned());
    let loaded = read(&[("when_ready", hook)], &[]);
    assert!(loaded.settings.hooks.has("when_ready") && !loaded.settings.hooks.has("on_exit"));
    let printed = loaded.print_config();
    let line = printed.lines().find(|line| line.starts_with("when_ready"));
    assert!(line.is_some_and(|line| line.contains("= when_ready") && line.contains("python:conf")));
}

#[test]
fn names_that_look_like_settings_are_remarked_on() {
    let values = [
        ("worker", text("1")),
        ("cores", text("2")),
        ("env_file", text("x")),
    ];
    assert_eq!(
        read(&values, &[]).warnings,
        [
            "python:conf: worker is no setting: did you mean workers?",
            "python:conf: env_file has no effect in a config file"
        ]
    );
}

#[test]
fn names_that_mean_a_setting_by_another_name_are_remarked_on() {
    for (name, meant) in [
        ("WORKERS", "workers"),
        ("preload", "preload_app"),
        ("log_level", "loglevel"),
        ("access_logfile", "accesslog"),
        ("port", "bind"),
        ("Max_Requests", "max_requests"),
    ] {
        assert_eq!(
            read(&[(name, text("1"))], &[]).warnings,
            [format!(
                "python:conf: {name} is no setting: did you mean {meant}?"
            )]
        );
    }
    // What the file makes of a setting is its own business.
    let values = [
        ("PORT", text("80")),
        ("host", text("h")),
        ("bind", text("h:80")),
        ("cores", text("4")),
        ("name", text("shop")),
        ("proc_name", text("shop")),
    ];
    assert_eq!(read(&values, &[]).warnings, [""; 0]);
}

#[test]
fn the_default_files_are_found_in_the_working_directory() {
    let name = format!("oxicorn-default-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir(&directory).expect("a temporary directory");
    let at = |name: &str| directory.join(name).display().to_string();
    std::fs::write(at("oxicorn.conf.py"), "").expect("a file");
    let mut source = with(&[("workers", text("5"))], &[]);
    source.arguments.truncate(1);
    source.directory.clone_from(&directory);

    let settings = Settings::load(&source).expect("good settings").settings;
    let found = Some(at("oxicorn.conf.py"));
    assert_eq!((settings.workers, settings.config), (5, found));
    std::fs::write(at("gunicorn.conf.py"), "").expect("a file");
    let settings = Settings::load(&source).expect("good settings").settings;
    assert_eq!(settings.config, Some(at("gunicorn.conf.py")));

    source.reader = Arc::new(NoInterpreter);
    let loaded = Settings::load(&source).expect("good settings");
    assert_eq!((loaded.settings.workers, loaded.warnings.len()), (1, 1));
    assert!(loaded.warnings[0].contains("gunicorn.conf.py is ignored"));
    source
        .arguments
        .extend(["-c".into(), "oxicorn.conf.py".into()]);
    let error = Settings::load(&source).expect_err("no interpreter");
    assert_eq!(
        error.to_string(),
        format!("config file {}", at("oxicorn.conf.py"))
    );
    source.arguments = ["oxicorn", "-c", "nowhere.py"].map(Into::into).into();
    let error = Settings::load(&source).expect_err("no file").to_string();
    let expected = format!("flag --config: cannot read {}", at("nowhere.py"));
    assert_eq!(error, expected);
    std::fs::remove_dir_all(&directory).expect("the end");
}
