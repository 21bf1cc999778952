//! `oxicorn ctl`: controls a running server over its control socket.
//!
//! ```text
//!   arguments --> target: where is the socket --> link: frames --> the master
//!                       report, top: what people read  <-- answers <--'
//! ```
//!
//! Results go to standard output; progress and errors go to standard error. The exit code says what has happened:
//! [`CtlExit`](exit::CtlExit).

mod arguments;
mod careful_reader;
mod exit;
mod figures;
mod link;
mod output;
mod report;
mod table;
mod target;
mod terminal;
mod top;
mod units;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use nix::sys::signal::Signal;
use oxicorn_common::settings::Source;
use oxicorn_common::{SignalPipe, signals};
use serde_json::{Value, json};

use exit::{CtlError, CtlExit};
use link::CtlLink;
use output::Output;

/// The subcommand.
const NAME: &str = "ctl";

/// Runs `PROGRAM ctl ..` if that is the command line of `source`; returns the exit code. `None` if it is another one.
pub fn control(source: &Source) -> Option<u8> {
    let is_ctl = source.arguments.get(1).is_some_and(|it| it == NAME);
    is_ctl.then(|| {
        let_interrupts_end();
        run(source) as u8
    })
}

/// An interpreter around this only notes SIGINT, and would not look before the end.
fn let_interrupts_end() {
    let caught = SignalPipe::install(&[Signal::SIGINT]);
    let reset = signals::reset_to_default();
    // Without it, SIGQUIT still ends this process.
    drop((caught, reset));
}

fn run(source: &Source) -> CtlExit {
    let program = source.arguments.first().map(Path::new);
    let program = program.and_then(Path::file_name).unwrap_or_default();
    let name = format!("{} {NAME}", program.to_string_lossy());
    let words: Vec<OsString> = source.arguments.iter().skip(1).cloned().collect();
    let matches = match arguments::command(&name).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { CtlExit::Done } else { CtlExit::Usage };
        }
    };
    let output = Output::new(&name, matches.get_flag("json"));
    let path = match target::find(&matches, source) {
        Ok(path) => path,
        Err(reason) => return output.fail(CtlExit::Usage, &reason),
    };
    let timeout = matches.get_one::<Duration>("timeout").copied();
    let outcome = CtlLink::connect(&path, timeout).and_then(|mut link| {
        name_server(&link, &path, &matches, &output);
        run_command(&mut link, &matches, &output)
    });
    match outcome {
        Ok(exit) => output.end(exit),
        Err(error) => output.fail(error.exit(), &error.to_string()),
    }
}

/// The server may be another one than is meant: without `--socket`, and when a command that ends it is repeated after an
/// upgrade. Says which one is about to change.
fn name_server(link: &CtlLink, path: &Path, matches: &ArgMatches, output: &Output) {
    let may_be_another = match matches.subcommand_name() {
        Some("reload" | "upgrade") => !matches.contains_id("socket"),
        Some("drain" | "shutdown") => true,
        _ => false,
    };
    if may_be_another && let Some(pid) = link.server_pid() {
        let path = path.display();
        output.progress(&format!("the server with pid {pid}, at {path}"));
    }
}

fn run_command(
    link: &mut CtlLink,
    matches: &ArgMatches,
    output: &Output,
) -> Result<CtlExit, CtlError> {
    let Some((name, options)) = matches.subcommand() else {
        return Ok(CtlExit::Usage);
    };
    let waits = |name: &str| options.try_get_one::<bool>(name).ok().flatten() == Some(&true);
    match name {
        "status" => {
            let status = link.call(&["status"])?;
            output.show(&status, || report::status(&status));
        }
        "top" => return top::run(link, options, output),
        "stacks" => {
            let stacks = link.wait(&["stacks"], |_| {})?;
            output.show(&stacks, || report::stacks(&stacks));
        }
        "config" => {
            let config = link.call(&["show", "config"])?;
            let names: Vec<&String> = options.get_many("name").into_iter().flatten().collect();
            return config_of(&config, &names, output);
        }
        "reload" | "upgrade" if waits("wait") => {
            let done = link.wait(&[name, "--wait"], |text| output.progress(text))?;
            expect_end(
                &done,
                if name == "reload" {
                    "reloaded"
                } else {
                    "upgraded"
                },
            )?;
            output.show(&done, || report::done(&done));
        }
        "drain" => {
            let ended = link.wait(&["drain"], |text| output.progress(text))?;
            expect_end(&ended, "ended")?;
            output.show(&ended, || report::done(&ended));
            // The server may have ended for another reason than this.
            if ended["code"] != json!(0) {
                return Ok(CtlExit::Failed);
            }
        }
        "workers" => {
            let done = workers(link, options)?;
            output.show(&done, || report::done(&done));
        }
        // The commands of gunicorn's client, word for word.
        _ => {
            let words = options.try_get_many::<String>("words").ok().flatten();
            let words = words.into_iter().flatten().map(String::as_str);
            let words: Vec<&str> = [name].into_iter().chain(words).collect();
            let done = link.call(&words)?;
            if done["success"] == json!(false) {
                let reason = done["error"].as_str().unwrap_or("it has failed");
                return Err(CtlError::Refused(reason.to_owned()));
            }
            output.show(&done, || report::done(&done));
        }
    }
    Ok(CtlExit::Done)
}

/// A server that knows nothing of waiting, such as gunicorn, answers at once: that is no success.
fn expect_end(answer: &Value, status: &str) -> Result<(), CtlError> {
    match answer["status"] == *status {
        true => Ok(()),
        false => {
            let text = format!("the server does not wait for that; it answers {answer}");
            Err(CtlError::Refused(text))
        }
    }
}

/// `+N`, `-N` or `=N`; without any, how many there are.
fn workers(link: &mut CtlLink, options: &ArgMatches) -> Result<Value, CtlError> {
    let Some(change) = options.get_one::<String>("change") else {
        let stats = link.call(&["show", "stats"])?;
        let (now, total) = (&stats["workers_current"], &stats["workers_target"]);
        return Ok(json!({"current": now, "total": total}));
    };
    let (verb, count) = match change.split_at(1) {
        ("+", count) => ("add", count),
        ("-", count) => ("remove", count),
        (_, count) => ("set", count),
    };
    // Only gunicorn's words change nothing for none.
    match count {
        "0" if verb != "set" => link.call(&["show", "stats"]).map(|stats| {
            let total = &stats["workers_target"];
            json!({"previous": total, "total": total})
        }),
        _ => link.call(&["worker", verb, count]),
    }
}

fn config_of(config: &Value, names: &[&String], output: &Output) -> Result<CtlExit, CtlError> {
    if names.is_empty() {
        output.show(config, || report::config(config));
        return Ok(CtlExit::Done);
    }
    let mut chosen = serde_json::Map::new();
    for name in names {
        match config.get(name.as_str()) {
            Some(value) => chosen.insert((*name).clone(), value.clone()),
            None => return Err(CtlError::Refused(format!("there is no setting {name}"))),
        };
    }
    let chosen = Value::Object(chosen);
    output.show(&chosen, || report::config(&chosen));
    Ok(CtlExit::Done)
}
