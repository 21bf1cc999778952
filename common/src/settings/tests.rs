//! Every row from every source, and the precedence of the sources.

mod application;
mod config_file;
mod refusals;
mod served;

use std::path::PathBuf;
use std::sync::Arc;

use super::*;

/// A text other than the default that each row reads; rows not named here take one of its kind.
fn sample(row: &Setting) -> &'static str {
    match row.name {
        "wsgi_app" => "native:hello",
        "env_file" => "/dev/null",
        "config" => "python:conf",
        "bind" => "unix:/run/o.sock",
        "admin_bind" => "unix:/run/admin.sock",
        "admin_token" => "0123456789abcdef",
        "chdir" | "tmp_upload_dir" => "/tmp",
        "raw_env" => "A=b",
        "user" | "group" => "7",
        "umask" => "0o22",
        "access_log_format" => r#"{"h":"%(h)s"}"#,
        "request_id" => "X-Sample",
        "loglevel" => "debug",
        "proxy_protocol" => "v2",
        "proxy_allow_ips" | "forwarded_allow_ips" => "10.0.0.0/8,fd00::1",
        "secure_scheme_headers" => "X-SCHEME=https,X-SSL=1",
        "root_path" => "/shop",
        "health_path" => "/health",
        "static_map" => "/static=/tmp",
        "rate_limit_redis" => "redis://counts:6380/2",
        "static_cache_control" => "*.css=max-age=60",
        "header_map" => "refuse",
        "cert_reqs" => "2",
        "ssl_version" => "TLSv1_2",
        "keyfile" | "certfile" | "admin_keyfile" | "admin_certfile" | "admin_ca_certs" => {
            "/nowhere/x.pem"
        }
        "pythonpath" => "/one,/two",
        "paste" | "reload_extra_files" => "/dev/null",
        "raw_paste_global_conf" => r"A\=B=c",
        "reload_engine" => "poll",
        "logger_class" => "simple",
        "logconfig_dict" => r#"{"version":1}"#,
        "syslog_addr" => "unix:///dev/log#dgram",
        "syslog_facility" => "local3",
        "statsd_host" => "stats:9125",
        "worker_class" => "gthread",
        "max_worker_memory" | "max_total_memory" => "25%",
        "http_parser" => "fast",
        "control_socket_mode" => "0o660",
        "protocol" | "http_protocols" => row.default,
        _ if row.standing == Standing::Refused => row.default,
        _ => match row.kind {
            Kind::Switch if row.default == "true" => "false",
            Kind::Off => "false",
            Kind::Switch => "true",
            Kind::Value("SECONDS") => "12.5",
            Kind::Value("COUNT" | "CONNECTIONS" | "BYTES" | "PERCENT" | "PORT" | "NUMBER") => "17",
            _ => "sample",
        },
    }
}

fn source(arguments: &[&str], environment: &[(&str, &str)]) -> Source {
    Source {
        arguments: ["oxicorn"]
            .iter()
            .chain(arguments)
            .map(Into::into)
            .collect(),
        environment: environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        directory: PathBuf::from("/"),
        reader: Arc::new(config_file::Reader(Vec::new())),
        applications: application::all(),
    }
}

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Loaded {
    Settings::load(&source(arguments, environment)).expect("good settings")
}

/// The rows that a text can set.
fn textual() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|row| !row.is_hook())
}

/// Other arguments that `row` requires on the command line.
fn partner(row: &Setting) -> Vec<&'static str> {
    match row.name {
        "keyfile" => vec!["--certfile", "/nowhere/y.pem"],
        "certfile" => vec!["--keyfile", "/nowhere/y.pem"],
        "admin_keyfile" | "admin_ca_certs" => vec!["--admin-certfile", "/nowhere/y.pem"],
        "min_workers" => vec!["--max-workers", "20"],
        _ => Vec::new(),
    }
}

fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let error = Settings::load(&source(arguments, environment)).expect_err("bad settings");
    assert_eq!(error.exit_code(), 1);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The text that `row` shows after reading its sample.
fn expected(row: &Setting) -> String {
    let mut settings = Settings::blank();
    (row.apply)(&mut settings, sample(row)).expect("a sample");
    (row.show)(&settings)
}

#[test]
fn every_row_reads_its_default_and_what_it_shows() {
    for row in textual() {
        let mut settings = Settings::blank();
        (row.apply)(&mut settings, row.default).expect(row.name);
        let shown = (row.show)(&settings);
        let mut again = Settings::blank();
        (row.apply)(&mut again, &shown).expect(row.name);
        assert_eq!((row.show)(&again), shown, "{}", row.name);
        assert_eq!(shown, row.default, "{}", row.name);
        let one_value = ["protocol", "http_protocols"].contains(&row.name);
        assert_eq!(
            expected(row) == row.default,
            one_value || row.standing == Standing::Refused,
            "{}: sample is the default",
            row.name
        );
    }
}

#[test]
fn every_flag_reaches_its_field() {
    for row in textual() {
        for flag in row.flags {
            let mut arguments = vec![*flag];
            let shown = match row.kind {
                Kind::Switch => "true".to_owned(),
                Kind::Off => "false".to_owned(),
                _ => {
                    arguments.push(sample(row));
                    expected(row)
                }
            };
            if row.name == "dirty_apps" {
                continue;
            }
            arguments.extend(partner(row));
            let loaded = load(&arguments, &[]);
            assert_eq!((row.show)(&loaded.settings), shown, "{flag}");
            let origin = loaded.origin(row.name).expect("a row").to_string();
            assert_eq!(
                Some(origin),
                row.long_flag().map(|flag| format!("flag {flag}"))
            );
        }
    }
    let loaded = load(&["native:hello"], &[]);
    assert_eq!(loaded.settings.application.as_deref(), Some("native:hello"));
}

#[test]
fn every_variable_reaches_its_field() {
    for row in SETTINGS {
        for variable in row.variables() {
            let loaded = load(&partner(row), &[(&variable, sample(row))]);
            assert_eq!((row.show)(&loaded.settings), expected(row), "{variable}");
            let explained = matches!(row.standing, Standing::NoEffect(_));
            assert_eq!(loaded.warnings.len(), usize::from(explained), "{variable}");
        }
    }
}

#[test]
fn names_are_unique_and_rows_are_whole() {
    let mut names: Vec<_> = SETTINGS.iter().map(|row| row.name).collect();
    let mut flags: Vec<_> = SETTINGS.iter().flat_map(|row| row.flags).collect();
    let (named, flagged) = (names.len(), flags.len());
    names.sort_unstable();
    names.dedup();
    flags.sort_unstable();
    flags.dedup();
    assert_eq!((names.len(), flags.len()), (named, flagged));
    for row in SETTINGS {
        assert!(
            row.help.ends_with('.') && !row.help.contains("  "),
            "{}",
            row.name
        );
    }
}

#[test]
fn the_highest_source_counts() {
    let arguments = ["--workers", "7"];
    let mut environment = vec![
        ("OXICORN_CMD_ARGS", "-w 6"),
        ("GUNICORN_CMD_ARGS", "--workers=5 --threads 9"),
        ("OXICORN_WORKERS", "4"),
        ("GUNICORN_WORKERS", "3"),
        ("WORKERS", "2"),
        ("WEB_CONCURRENCY", "8"),
    ];
    assert_eq!(load(&arguments, &environment).settings.workers, 7);
    for workers in [6, 5, 4, 3, 2, 8] {
        assert_eq!(load(&[], &environment).settings.workers, workers);
        environment.remove(0);
    }
    assert_eq!(load(&[], &environment).settings.workers, 1);
}

#[test]
fn an_empty_variable_is_not_set() {
    let loaded = load(&[], &[("OXICORN_WORKERS", ""), ("WORKERS", "2")]);
    assert_eq!(loaded.settings.workers, 2);
}

#[test]
fn repeated_flags_add_up_or_the_last_counts() {
    let loaded = load(
        &[
            "-b",
            "[::]:80,localhost",
            "--bind",
            "fd://3",
            "-w",
            "2",
            "-w",
            "3",
            "-D",
            "-D",
        ],
        &[("PORT", "9")],
    );
    let bind: Vec<_> = loaded
        .settings
        .bind
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(bind, ["[::]:80", "localhost:8000", "fd://3"]);
    assert_eq!(loaded.settings.workers, 3);
    assert!(loaded.settings.daemon);
    let port = load(&[], &[("PORT", "9")]).settings.bind;
    assert_eq!(port[0].to_string(), "0.0.0.0:9");
}

#[test]
fn help_and_version_are_answers() {
    for (flag, answer) in [
        ("--help", "--limit-request-field_size"),
        ("-h", "Usage: oxicorn"),
        ("--version", "oxicorn (version "),
        ("-v", "oxicorn (version "),
    ] {
        let error = Settings::load(&source(&[flag], &[])).expect_err("an answer");
        assert_eq!(error.exit_code(), 0);
        assert!(error.to_string().contains(answer), "{flag}: {error}");
    }
}

#[test]
fn the_flag_of_an_optional_value_may_stand_alone() {
    for (arguments, mode) in [
        (&["--proxy-protocol"][..], ProxyProtocol::Auto),
        (&["--proxy-protocol", "--daemon"], ProxyProtocol::Auto),
        (&["--proxy-protocol", "v1"], ProxyProtocol::V1),
        (&["--proxy-protocol=v2", "native:hello"], ProxyProtocol::V2),
    ] {
        assert_eq!(load(arguments, &[]).settings.proxy.protocol, mode);
    }
}

#[test]
fn variables_that_replace_a_default_come_last() {
    let environment = [
        ("FORWARDED_ALLOW_IPS", "*"),
        ("SENDFILE", "no"),
        ("PORT", "9"),
    ];
    let settings = load(&[], &environment).settings;
    assert!(settings.proxy.forwarded_peers.is_everybody() && !settings.sendfile);
    let arguments = ["--forwarded-allow-ips", "::1"];
    let settings = load(&arguments, &environment).settings;
    assert!(!settings.proxy.forwarded_peers.is_everybody());
}

#[test]
fn print_config_names_every_row_and_hides_secrets() {
    let loaded = load(&["-w", "2", "-e", "TOKEN=secret"], &[]);
    let printed = loaded.print_config();
    assert_eq!(printed.lines().count(), SETTINGS.len());
    let line = printed.lines().find(|line| line.starts_with("workers "));
    let words: Vec<_> = line.expect("a line").split_whitespace().collect();
    assert_eq!(words, ["workers", "=", "2", "#", "flag", "--workers"]);
    assert!(!printed.contains("secret"));
    let loaded = load(&[], &[("OXICORN_ADMIN_TOKEN", "0123456789abcdef")]);
    assert!(!loaded.print_config().contains("0123456789abcdef"));
    assert!(!refusal(&[], &[("OXICORN_ADMIN_TOKEN", "tooshort")]).contains("tooshort"));
    for given in [
        &["--admin-token", "0123456789abcdef"][..],
        &["--admin-token=0123456789abcdef"],
    ] {
        let text = refusal(given, &[]);
        assert!(
            text.starts_with("unknown flag --admin-token") && !text.contains("0123"),
            "{text}"
        );
    }
}

#[test]
fn the_env_file_ranks_between_environment_and_web_concurrency_and_is_read_again() {
    let name = format!("oxicorn-rank-{}.env", std::process::id());
    let path = std::env::temp_dir().join(&name);
    let write = |text: &str| std::fs::write(&path, text).expect("a temporary file");
    let mut source = source(&["--env-file", &name], &[("WEB_CONCURRENCY", "9")]);
    source.directory = std::env::temp_dir();

    write("WORKERS=3\nTHREADS=2\nOXICORN_TYPO=1\n");
    let loaded = Settings::load(&source).expect("good settings");
    assert_eq!((loaded.settings.workers, loaded.settings.threads), (3, 2));
    let place = path.display();
    assert_eq!(
        loaded.warnings,
        [format!(
            "{place}:3: variable OXICORN_TYPO is no setting and is ignored"
        )]
    );

    source.environment.insert("THREADS".into(), "5".into());
    write("# nothing of workers\nTHREADS=4\n");
    let settings = Settings::load(&source).expect("good settings").settings;
    assert_eq!((settings.workers, settings.threads), (9, 5));

    write("\nMAX_REQUESTS=all\n");
    let error = Settings::load(&source)
        .expect_err("a bad value")
        .to_string();
    assert!(error.starts_with(&format!(
        "{place}:2: variable MAX_REQUESTS: invalid value \"all\": expected a whole number"
    )));

    std::fs::remove_file(&path).expect("the end");
    let error = Settings::load(&source).expect_err("no file").to_string();
    assert_eq!(error, format!("flag --env-file: cannot read {place}"));
}
