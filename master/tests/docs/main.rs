//! The pages that are made from the rows of settings: `docs/settings.md`, `etc/oxicorn.env`, and the table of
//! `docs/migrating-from-gunicorn.md`. The tests fail when a page differs from the rows;
//! `OXICORN_BLESS=1 cargo test -p oxicorn --test docs` writes the pages again.

mod migrating;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use oxicorn_common::Settings;
use oxicorn_common::settings::show::wrap;
use oxicorn_common::settings::{
    ApplicationSettings, Kind, SETTINGS, Section, Setting, Source, Standing,
};

const SERVICE: &str = "native:eventstreammonitor";

const INTRODUCTION: &str = "\
# Settings

<!-- Made from the rows of settings; OXICORN_BLESS=1 cargo test -p oxicorn --test docs -->

A setting is read from the first of these sources that has it:

1. the command line
2. `OXICORN_CMD_ARGS`, then `GUNICORN_CMD_ARGS`: more of the command line, split as a shell does
3. the environment: `OXICORN_NAME`, then `GUNICORN_NAME`, then, for a native application, the bare name where one is given below
4. the file of `--env-file`, with the same names as the environment; read again on SIGHUP
5. the Python config file: that of `--config`, or `gunicorn.conf.py`, or `oxicorn.conf.py`, in the working directory.
   Its variables have the names of the settings. It is executed again on SIGHUP. The wheel reads it; the standalone binary has no Python.
6. the variables that replace a default, as they do in gunicorn: `WEB_CONCURRENCY`, `PORT`, `FORWARDED_ALLOW_IPS`, `SENDFILE`
7. for a Python application, the bare names: its environment is its own, so `WORKERS`, `THREADS` or `LOG_LEVEL` may be meant for
   something else. One that cannot be read is a warning and is ignored.
8. the default

An empty variable counts as not set. A value that cannot be read stops the start with exit code 1
and one line that names the source, the value and what would be right. The settings of the built-in service are there where
`native:eventstreammonitor` is served, and nowhere else: other applications may have a `DATABASE_URL` of their own. An unknown variable that begins
with `OXICORN_` or `GUNICORN_` is reported and ignored. Times are in seconds and may have a fraction. A switch is
true or false in a variable; on the command line it stands alone. `--print-config` prints every
setting, its value and its source.
";

const ATOMS: &str = "\
## Atoms of the access log

The format is made of `%(NAME)s`; `%%` is a percent sign. Flag, width and precision are Python's.
Quotation marks and backslashes in values get a backslash; what ends a line or commands a terminal is written as `\\xNN` or
`\\uNNNN`. A format that is JSON makes lines that are JSON; `docs/logging.md` tells of both. A name that is not in the list is
rendered as `-`.

| name | meaning |
|---|---|
| `h` | address of the client; empty for a Unix socket |
| `l` | `-` |
| `u` | user of `Authorization: Basic` |
| `t` | local time, as `[23/Nov/2026:10:00:00 +0000]` |
| `r` | request line |
| `m` | method |
| `U` | path, its percent-encoding undone |
| `q` | query |
| `H` | protocol |
| `s` | status |
| `b`, `B` | length of the response body in bytes |
| `f` | referer |
| `a` | user agent |
| `T` | time taken in whole seconds |
| `M` | time taken in milliseconds |
| `D` | time taken in microseconds |
| `L` | time taken in seconds with six decimals |
| `p` | process id of the worker, as `<4711>` |
| `{name}i` | request field |
| `{name}o` | response field |
| `{name}e` | variable of the WSGI environment |
";

/// The settings of the server and of the service.
fn rows() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(oxicorn_service::SETTINGS)
}

/// Each section once, in the order of the rows.
fn sections() -> Vec<Section> {
    let mut sections: Vec<_> = rows().map(|row| row.section).collect();
    sections.dedup();
    sections
}

/// The page of all settings.
fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in sections() {
        let _ = write!(page, "\n## {}\n", section.title());
        for row in rows().filter(|row| row.section == section) {
            let names = names(row);
            let gap = if names.is_empty() { "" } else { "\n" };
            let _ = write!(page, "\n### {}\n\n{}\n{gap}{names}", row.name, row.help);
        }
    }
    page.push('\n');
    page.push_str(ATOMS);
    page
}

fn names(row: &Setting) -> String {
    let code = |text: &str| format!("`{text}`");
    let list = |texts: Vec<String>| {
        let texts: Vec<_> = texts.iter().map(|text| code(text)).collect();
        texts.join(", ")
    };
    let flags = row.flags.iter().map(|flag| match row.placeholder() {
        Some(word) => format!("{flag} {word}"),
        None => (*flag).to_owned(),
    });
    let mut lines = String::new();
    if let Kind::Hook(arity) = row.kind {
        if row.standing == Standing::Works {
            let _ = writeln!(lines, "- config file: a function that takes {arity}");
        }
        return lines;
    }
    match row.kind {
        Kind::Secret(_) => {
            let _ = writeln!(lines, "- config file: `{}`", row.name);
        }
        Kind::Positional(word) => {
            let _ = writeln!(lines, "- command line: {}, without a flag", code(word));
        }
        _ => {
            let _ = writeln!(lines, "- command line: {}", list(flags.collect()));
        }
    }
    let variables = row.variables().chain(row.fallback().map(str::to_owned));
    let _ = writeln!(lines, "- environment: {}", list(variables.collect()));
    let default = match row.default {
        "" => "not set".to_owned(),
        default => code(default),
    };
    let _ = writeln!(lines, "- default: {default}");
    match row.standing {
        Standing::Works => {}
        Standing::NoEffect(reason) => {
            let _ = writeln!(lines, "- no effect: {reason}");
        }
        Standing::Refused => {
            let refusal =
                (row.apply)(&mut Settings::default(), "\u{0}").expect_err("no text of a file");
            let _ = writeln!(lines, "- refused unless {refusal}");
        }
    }
    lines
}

/// The example of an env file: every variable at its default, commented out.
fn env_file() -> String {
    let mut file = "\
# Settings of oxicorn for --env-file, or EnvironmentFile= of systemd.
# Remove the # in front of a variable to set it. docs/settings.md says more.
# A running server reads the file of --env-file again on SIGHUP.
"
    .to_owned();
    for section in sections() {
        let rows = rows().filter(|row| row.section == section);
        let rows: Vec<_> = rows.filter(|row| in_env_file(row)).collect();
        if !rows.is_empty() {
            let _ = write!(file, "\n## {}\n", section.title());
        }
        for row in rows {
            let _ = write!(file, "\n{}", comment(row.help));
            let variable = row.variables().next().expect("a prefixed name");
            let quote = match row.default.contains(' ') {
                true => "'",
                false => "",
            };
            let _ = writeln!(file, "#{variable}={quote}{}{quote}", row.default);
        }
    }
    file
}

/// What one does once, on the command line, is not for a file.
fn in_env_file(row: &Setting) -> bool {
    !["env_file", "config", "check_config", "print_config"].contains(&row.name)
        && !row.is_hook()
        && row.standing == Standing::Works
}

fn comment(text: &str) -> String {
    let lines = wrap(text, 96);
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

fn root() -> PathBuf {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.parent().expect("a workspace").to_owned()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

fn compare(name: &str, text: &str) {
    let path = root().join(name);
    if std::env::var_os("OXICORN_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, text).expect("a file of the workspace");
    }
    assert!(
        read(name) == text,
        "{name} is not what the rows say; OXICORN_BLESS=1 writes it again"
    );
}

#[test]
fn the_page_is_what_the_rows_say() {
    compare("docs/settings.md", &page());
}

#[test]
fn the_env_file_is_what_the_rows_say() {
    compare("etc/oxicorn.env", &env_file());
}

#[test]
fn the_env_file_without_its_marks_is_the_defaults() {
    let text = env_file().replace("\n#OXICORN_", "\nOXICORN_");
    let path = std::env::temp_dir().join(format!("oxicorn-{}.env", std::process::id()));
    fs::write(&path, text).expect("a temporary file");
    let arguments = [
        "oxicorn".into(),
        SERVICE.into(),
        "--env-file".into(),
        path.clone().into(),
    ];
    let source = Source {
        arguments: arguments.into(),
        directory: "/".into(),
        applications: ApplicationSettings::by_name([(
            SERVICE.to_owned(),
            oxicorn_service::SETTINGS,
        )]),
        ..Source::default()
    };
    let loaded = Settings::load(&source);
    fs::remove_file(&path).expect("the end");
    let loaded = loaded.expect("an example that can be used");
    let defaults = Settings {
        application: Some(SERVICE.to_owned()),
        env_file: Some(path),
        ..Settings::with_defaults(oxicorn_service::SETTINGS)
    };
    assert_eq!(loaded.settings, defaults);
    assert!(loaded.warnings.is_empty());
    let origin = loaded.origin("workers").expect("a row").to_string();
    assert!(origin.ends_with(": variable OXICORN_WORKERS"), "{origin}");
}
