//! The command line of `oxicorn ctl`.

use std::time::Duration;

use clap::{Arg, ArgAction, Command};

const CODES: &str = "Exit codes:
  0  done
  1  the server has refused, or what was asked for has failed: standard error says why
  2  the command line is wrong
  3  no server answers at the socket, or it is gone before its answer
  4  not done within --timeout

The socket is that of --socket, else that of the settings (OXICORN_CONTROL_SOCKET, the config file and so on), else
$XDG_RUNTIME_DIR/gunicorn.ctl, else ~/.gunicorn/gunicorn.ctl.";

pub(super) fn command(name: &str) -> Command {
    let value = |id: &'static str, word: &'static str| {
        Arg::new(id)
            .long(id)
            .value_name(word)
            .global(true)
            .action(ArgAction::Set)
    };
    let wait = |help: &'static str| {
        Arg::new("wait")
            .long("wait")
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let words = |help: &'static str| {
        Arg::new("words")
            .value_name("WORD")
            .num_args(0..)
            .allow_hyphen_values(true)
            .help(help)
    };
    Command::new("ctl")
        .bin_name(name.to_owned())
        .about("Controls a running server over its control socket")
        .after_help(CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .arg(
            value("socket", "PATH")
                .short('s')
                .help("The control socket of the server"),
        )
        .arg(
            value("config", "FILE")
                .short('c')
                .help("A config file of the server, which may name the socket"),
        )
        .arg(value("env-file", "FILE").help("An env file of the server, which may name the socket"))
        .arg(value("timeout", "SECONDS").value_parser(seconds).help(
            "Give up after so long: by default after 30 s, or never where the server is waited for",
        ))
        .arg(
            Arg::new("json")
                .long("json")
                .short('j')
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print answers as JSON"),
        )
        .subcommand(Command::new("status").about("Show the server, its workers and its requests"))
        .subcommand(
            Command::new("top")
                .about("Show what the workers do, again and again; once if this is no terminal")
                .arg(
                    Arg::new("once")
                        .long("once")
                        .action(ArgAction::SetTrue)
                        .help("Print it once"),
                )
                .arg(
                    Arg::new("interval")
                        .long("interval")
                        .value_name("SECONDS")
                        .value_parser(seconds)
                        .help("The time that rates, averages and percentiles are of (default 1)"),
                ),
        )
        .subcommand(
            Command::new("reload")
                .about("Read settings and application again, as on HUP")
                .arg(wait(
                    "Wait until the reload has succeeded, or fail with its reason",
                )),
        )
        .subcommand(
            Command::new("upgrade")
                .about("Start a new master beside the old one, as on USR2")
                .arg(wait(
                    "Wait until the new master serves, or fail with its reason",
                )),
        )
        .subcommand(
            Command::new("workers")
                .about("Show or change the number of workers")
                .arg(
                    Arg::new("change")
                        .value_name("+N|-N|=N")
                        .allow_hyphen_values(true)
                        .value_parser(change)
                        .help("So many more, so many less, or exactly so many"),
                ),
        )
        .subcommand(
            Command::new("drain").about("Shut down gracefully, as on TERM, and wait for the end"),
        )
        .subcommand(Command::new("stacks").about(
            "Show what every thread of the workers runs now: stacks of the application and of the process",
        ))
        .subcommand(
            Command::new("config")
                .about("Show the settings in effect")
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .num_args(0..)
                        .help("Only these"),
                ),
        )
        .subcommand(Command::new("reopen").about("Open the log files again, as on USR1"))
        .subcommand(
            Command::new("shutdown")
                .about("Shut down, and do not wait for the end")
                .arg(
                    words("graceful, as on TERM (default), or quick, as on INT")
                        .num_args(0..=1)
                        .value_parser(["graceful", "quick"]),
                ),
        )
        .subcommand(
            Command::new("show")
                .about("Ask as gunicornc does: show all|workers|config|stats|listeners")
                .arg(words("What to show").num_args(1..)),
        )
        .subcommand(
            Command::new("worker")
                .about("Ask as gunicornc does: worker add|remove [N], worker kill PID")
                .arg(words("What to do").num_args(1..)),
        )
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let time = seconds.and_then(|it| Duration::try_from_secs_f64(it).ok());
    let time = time.filter(|time| !time.is_zero());
    time.ok_or_else(|| "a number of seconds above 0".to_owned())
}

fn change(text: &str) -> Result<String, String> {
    let count = text.strip_prefix(['+', '-', '=']).unwrap_or_default();
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => Ok(text.to_owned()),
        false => Err("a number behind +, - or =".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command("oxicorn ctl").debug_assert();
    }

    #[test]
    fn times_are_above_0_and_fit_a_clock() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        seconds("1e18").expect("for ever, but it is a time");
        for wrong in ["0", "-1", "1e300", "1e-300", "inf", "nan", "x", ""] {
            seconds(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn numbers_of_workers_need_a_sign() {
        for right in ["+1", "-12", "=3", "=0"] {
            let matches = command("x").try_get_matches_from(["ctl", "workers", right]);
            let matches = matches.expect(right);
            let (_, options) = matches.subcommand().expect("a command");
            assert_eq!(
                options.get_one::<String>("change").map(String::as_str),
                Some(right)
            );
        }
        for wrong in ["1", "+", "=-1", "+x", ""] {
            command("x")
                .try_get_matches_from(["ctl", "workers", wrong])
                .expect_err(wrong);
        }
    }
}
