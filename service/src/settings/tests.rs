//! Every row from every source, and what its variables mean if the service is not served.

use std::collections::BTreeMap;

use oxicorn_common::settings::{ApplicationSettings, Kind, Loaded, Setting, Source};

use super::*;

const SERVICE: &str = "native:eventstreammonitor";

fn source(arguments: &[&str], environment: &[(&str, &str)]) -> Source {
    let arguments = ["oxicorn"].iter().chain(arguments);
    let environment = environment
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Source {
        arguments: arguments.map(Into::into).collect(),
        environment: BTreeMap::from_iter(environment),
        directory: "/".into(),
        applications: ApplicationSettings::by_name([(SERVICE.to_owned(), SETTINGS)]),
        ..Source::default()
    }
}

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Loaded {
    let arguments = [&[SERVICE], arguments].concat();
    Settings::load(&source(&arguments, environment)).expect("good settings")
}

/// A text per row that it accepts and that is not its default.
fn sample(row: &Setting) -> &'static str {
    match row.name {
        "redis_url" => "redis://cache:6380/3",
        "kafka_brokers" => "one:9092,two:9092",
        "database_url" => "sqlite:other.db",
        _ => match row.kind {
            Kind::Value("SECONDS") => "12.5",
            Kind::Value("COUNT" | "BYTES" | "PERCENT" | "PORT" | "NUMBER") => "17",
            _ => "sample",
        },
    }
}

/// What `row` shows after it has read `text`.
fn shown(row: &Setting, text: &str) -> String {
    let mut settings = Settings::with_defaults(SETTINGS);
    (row.apply)(&mut settings, text).expect(row.name);
    (row.show)(&settings)
}

#[test]
fn every_row_reads_its_default_and_every_source_reaches_it() {
    for row in SETTINGS {
        assert_eq!(shown(row, row.default), row.default, "{}", row.name);
        let expected = shown(row, sample(row));
        assert_ne!(expected, row.default, "{}", row.name);
        for flag in row.flags {
            let loaded = load(&[flag, sample(row)], &[]);
            assert_eq!((row.show)(&loaded.settings), expected, "{flag}");
        }
        for variable in row.variables() {
            let loaded = load(&[], &[(&variable, sample(row))]);
            assert_eq!((row.show)(&loaded.settings), expected, "{variable}");
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        }
        assert!(row.help.ends_with('.') && !row.help.contains("  "));
    }
}

#[test]
fn passwords_are_not_shown() {
    let environment = [
        ("DATABASE_URL", "postgres://me:secret@host/db"),
        ("REDIS_URL", "redis://:secret@host"),
        ("REDIS_PASSWORD", "secret"),
    ];
    let printed = load(&[], &environment).print_config();
    assert!(printed.contains("postgres://me:***@host/db") && !printed.contains("secret"));
}

#[test]
fn without_the_service_its_variables_belong_to_others() {
    let environment = [("DATABASE_URL", "mysql://u:secret@h/d"), ("POOL_SIZE", "0")];
    let loaded = Settings::load(&source(&["native:hello"], &environment)).expect("good settings");
    assert!(loaded.warnings.is_empty() && !loaded.print_config().contains("database_url"));
    let error = Settings::load(&source(&["native:hello", "--pool-size", "7"], &[]));
    assert_eq!(
        error.expect_err("a foreign flag").to_string(),
        "flag --pool-size: a setting of native:eventstreammonitor, which is not served"
    );
}
