//! The command line. clap's parser is made from the rows.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::application_settings::ApplicationSettings;
use super::error::SettingsError;
use super::origin::Origin;
use super::secrets::mask;
use super::setting::{Kind, Setting, Standing};
use super::show::wrap;
use super::table::SETTINGS;

/// Terminals have 80 columns, of which clap takes ten.
const HELP_WIDTH: usize = 70;

/// Flags of uvicorn, hypercorn, waitress, Flask and uWSGI, and their counterparts here.
const OF_OTHERS: [(&str, &str); 22] = [
    ("--host", "--bind HOST:PORT"),
    ("--port", "--bind HOST:PORT"),
    ("--listen", "--bind HOST:PORT"),
    ("--http", "--bind HOST:PORT"),
    ("--http-socket", "--bind HOST:PORT"),
    ("--socket", "--bind unix:PATH"),
    ("--unix-socket", "--bind unix:PATH"),
    ("--uds", "--bind unix:PATH"),
    ("--fd", "--bind fd://N"),
    ("--processes", "--workers COUNT"),
    ("--ssl-certfile", "--certfile FILE"),
    ("--ssl-keyfile", "--keyfile FILE"),
    ("--ssl-ca-certs", "--ca-certs FILE"),
    ("--app-dir", "--pythonpath DIRECTORY"),
    ("--factory", "a call as the application, module:factory()"),
    ("--module", "the argument without a flag, module:callable"),
    (
        "--wsgi-file",
        "the argument without a flag, module:callable",
    ),
    ("--proxy-headers", "--forwarded-allow-ips ADDRESSES"),
    ("--reload-dir", "--reload-extra-file FILE"),
    ("--limit-concurrency", "--worker-connections COUNT"),
    ("--limit-max-requests", "--max-requests COUNT"),
    ("--timeout-keep-alive", "--keep-alive SECONDS"),
];

/// The contents of one command line.
#[derive(Debug)]
pub(super) struct CommandLine {
    matches: ArgMatches,
    variable: Option<&'static str>,
}

impl CommandLine {
    /// Reads the arguments of the process, program name first.
    pub(super) fn parse(
        arguments: &[OsString],
        applications: &ApplicationSettings,
    ) -> Result<Self, SettingsError> {
        refuse_secrets(arguments.iter().filter_map(|it| it.to_str()), None)?;
        // Help is printed before any other source is read.
        let mut names = applications.names();
        let named = names.find(|name| arguments.iter().any(|it| it == name));
        let matches = command(applications, named).try_get_matches_from(arguments);
        Self::from_matches(matches, None)
    }

    /// Reads more arguments from the text of a variable, split as a shell would.
    pub(super) fn parse_variable(
        name: &'static str,
        text: &str,
        applications: &ApplicationSettings,
    ) -> Result<Self, SettingsError> {
        let words = shlex::split(text).ok_or_else(|| SettingsError::Usage {
            variable: Some(name),
            text: "a quotation mark is not closed".to_owned(),
        })?;
        refuse_secrets(words.iter().map(String::as_str), Some(name))?;
        let matches = command(applications, None)
            .no_binary_name(true)
            .try_get_matches_from(words);
        Self::from_matches(matches, Some(name))
    }

    /// The values of `row`, and their origin.
    pub(super) fn values(&self, row: &Setting) -> Option<(Vec<String>, Origin)> {
        if !on_command_line(row) {
            return None;
        }
        let given = self.matches.value_source(row.name)?;
        if given != clap::parser::ValueSource::CommandLine {
            return None;
        }
        let values = match row.kind {
            Kind::Switch | Kind::Off => vec![self.matches.get_flag(row.name).to_string()],
            _ => self.matches.get_many(row.name)?.cloned().collect(),
        };
        Some((values, Origin::argument(row, self.variable)))
    }

    fn from_matches(
        matches: Result<ArgMatches, clap::Error>,
        variable: Option<&'static str>,
    ) -> Result<Self, SettingsError> {
        match matches {
            Ok(matches) => Ok(Self { matches, variable }),
            Err(error) if error.exit_code() == 0 => {
                Err(SettingsError::Information(error.to_string()))
            }
            Err(error) => Err(SettingsError::Usage {
                variable,
                text: one_line(&error),
            }),
        }
    }
}

/// The parser, which knows the settings of all applications. Help shows those of the application called `named`.
fn command(applications: &ApplicationSettings, named: Option<&str>) -> Command {
    let version = Arg::new("version")
        .short('v')
        .visible_short_alias('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version and exit");
    let command = Command::new("oxicorn")
        .version(concat!("(version ", env!("CARGO_PKG_VERSION"), ")"))
        .about("A pre-forking application server.")
        .disable_version_flag(true)
        .next_line_help(true)
        .args_override_self(true)
        // argparse, which reads gunicorn's flags, takes them shortened.
        .infer_long_args(true)
        .arg(version);
    let rows = SETTINGS.iter().filter(|row| on_command_line(row));
    let command = rows.fold(command, |command, row| command.arg(argument(row)));
    let shown = applications.of(named);
    let own = applications.rows().filter(|row| on_command_line(row));
    let command = own.fold(command, |command, row| {
        let is_shown = shown.iter().any(|it| it.name == row.name);
        command.arg(argument(row).hide(!is_shown))
    });
    let hints = applications.names().filter(|name| Some(*name) != named);
    let hints = hints
        .map(|name| format!("oxicorn {name} --help has the settings of that application too."));
    let control = "oxicorn ctl --help has the commands for a server that runs.".to_owned();
    let hints: Vec<String> = hints.chain([control]).collect();
    command.after_help(hints.join("\n"))
}

fn argument(row: &'static Setting) -> Arg {
    let mut argument = Arg::new(row.name)
        .help(help(row))
        .help_heading(row.section.title())
        .hide(row.standing == Standing::Refused)
        .value_parser(ValueParser::string());
    for flag in row.flags {
        argument = match flag.strip_prefix("--") {
            Some(long) if argument.get_long().is_none() => argument.long(long),
            Some(long) => argument.visible_alias(long),
            None => argument.short(flag.chars().nth(1)),
        };
    }
    match row.kind {
        Kind::Switch => argument
            .value_parser(clap::value_parser!(bool))
            .action(ArgAction::SetTrue),
        Kind::Off => argument
            .value_parser(clap::value_parser!(bool))
            .action(ArgAction::SetFalse),
        Kind::Optional(word, alone) => argument
            .value_name(word)
            .num_args(0..=1)
            .default_missing_value(alone),
        Kind::List(word) => argument
            .value_name(word)
            .action(ArgAction::Append)
            .allow_negative_numbers(true),
        Kind::Value(word) | Kind::Positional(word) => {
            argument.value_name(word).allow_negative_numbers(true)
        }
        Kind::Hook(_) | Kind::Secret(_) => argument,
    }
}

/// A secret has no flag. What looks like one would otherwise be taken for the beginning of a longer flag, and its value be
/// shown.
fn refuse_secrets<'a>(
    arguments: impl Iterator<Item = &'a str>,
    variable: Option<&'static str>,
) -> Result<(), SettingsError> {
    let secrets = SETTINGS
        .iter()
        .filter(|row| matches!(row.kind, Kind::Secret(_)));
    let flags: Vec<(String, &Setting)> = secrets
        .map(|row| (format!("--{}", row.name.replace('_', "-")), row))
        .collect();
    for argument in arguments.take_while(|it| *it != "--") {
        let given = argument.split_once('=').map_or(argument, |(flag, _)| flag);
        if let Some((flag, row)) = flags.iter().find(|(flag, _)| flag == given) {
            let instead = row.prefixed().next().unwrap_or_default();
            let text = format!(
                "unknown flag {flag}: everybody may read command lines; set {instead} in the environment or the env file"
            );
            return Err(SettingsError::Usage { variable, text });
        }
    }
    Ok(())
}

/// Whether a command line may set it.
fn on_command_line(row: &Setting) -> bool {
    !matches!(row.kind, Kind::Hook(_) | Kind::Secret(_))
}

fn help(row: &Setting) -> String {
    let lines = wrap(row.help, HELP_WIDTH).join("\n");
    match row.default {
        "" | "false" => lines,
        default => format!("{lines}\n[default: {default}]"),
    }
}

/// clap explains over several lines; a supervisor's log needs a single one.
fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let (flag, value) = argument.split_once(' ').unwrap_or((argument, ""));
    let flag = flag.escape_debug();
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            if let Some((_, ours)) = OF_OTHERS.iter().find(|(other, _)| *other == argument) {
                return format!("unknown flag {flag}: here it is {ours}");
            }
            match context(ContextKind::SuggestedArg) {
                Some(similar) => format!("unknown flag {flag}: did you mean {similar}?"),
                None => format!("unknown flag {flag}: --help lists all"),
            }
        }
        ErrorKind::UnknownArgument => {
            let argument = mask(argument);
            format!("unexpected argument {argument:?}: one application is served")
        }
        ErrorKind::InvalidValue => format!("flag {flag}: a value is missing: {value}"),
        ErrorKind::TooManyValues => {
            let given = mask(context(ContextKind::InvalidValue).unwrap_or_default());
            format!("flag {flag}: invalid value {given:?}: it takes none")
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}
