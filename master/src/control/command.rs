//! The commands of the control socket: gunicorn's, and more. What they do is elsewhere; this reads them.

use nix::sys::signal::Signal;

/// One command, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControlCommand {
    Show(ShowTarget),
    /// Everything that can be known about the server.
    Status,
    /// More workers, or fewer.
    AddWorkers(usize),
    RemoveWorkers(usize),
    SetWorkers(usize),
    KillWorker(i32),
    /// The answer comes at once, or when the reload has succeeded or failed.
    Reload {
        waits: bool,
    },
    /// The same for the new master.
    Upgrade {
        waits: bool,
    },
    /// What all threads of the workers run.
    Stacks,
    Reopen,
    Shutdown(ShutdownMode),
    /// As a graceful shutdown; there is no answer before the end.
    Drain,
    Help,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShowTarget {
    All,
    Workers,
    Dirty,
    Config,
    Stats,
    Listeners,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownMode {
    Graceful,
    Quick,
}

/// Every command with its description, as `help` shows them.
pub(crate) const HELP: &[(&str, &str)] = &[
    (
        "show all",
        "Show all processes (master, workers, other children)",
    ),
    ("show workers", "List HTTP workers with their status"),
    ("show dirty", "Dirty workers: there are none here"),
    ("show config", "Show current effective configuration"),
    ("show stats", "Show server statistics"),
    ("show listeners", "Show bound sockets"),
    (
        "status",
        "Show everything: processes, threads, requests, reloads",
    ),
    ("stacks", "Show what every thread of the workers runs now"),
    ("worker add [N]", "Start N workers (default 1)"),
    ("worker remove [N]", "Remove N workers (default 1)"),
    ("worker set <N>", "Have N workers"),
    (
        "worker kill <PID>",
        "Replace a worker: it ends gracefully when another is ready",
    ),
    ("reload [--wait]", "Graceful reload (HUP)"),
    (
        "upgrade [--wait]",
        "Start a new master beside this one (USR2)",
    ),
    ("reopen", "Reopen log files (USR1)"),
    (
        "drain",
        "Graceful shutdown (TERM), reported until the server has ended",
    ),
    ("shutdown [graceful|quick]", "Shutdown server (TERM/INT)"),
    ("help", "Show this help message"),
];

const NO_DIRTY: &str = "there are no dirty workers here: applications run in workers and runners";

impl ShutdownMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Quick => "quick",
        }
    }

    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Graceful => Signal::SIGTERM,
            Self::Quick => Signal::SIGINT,
        }
    }
}

impl ControlCommand {
    /// Reads the words of a request, as gunicorn does: the first ones name the command, and what no command takes is
    /// ignored.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut words = words.iter().map(String::as_str);
        let name = words.next().unwrap_or_default().to_lowercase();
        let rest: Vec<&str> = words.collect();
        let waits = rest.contains(&"--wait");
        let parsed = match name.as_str() {
            "show" => Self::show(&rest),
            "status" => Ok(Self::Status),
            "worker" => Self::worker(&rest),
            "dirty" => return Err(NO_DIRTY.to_owned()),
            "reload" => Ok(Self::Reload { waits }),
            "upgrade" => Ok(Self::Upgrade { waits }),
            "stacks" => Ok(Self::Stacks),
            "reopen" => Ok(Self::Reopen),
            "shutdown" => Ok(Self::Shutdown(shutdown_mode(&rest)?)),
            "drain" => Ok(Self::Drain),
            "help" => Ok(Self::Help),
            _ => Err(format!("Unknown command: {name}")),
        };
        parsed.map_err(|error| format!("Invalid argument: {error}"))
    }

    /// Whether the answer may take its time.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(
            self,
            Self::Reload { waits: true }
                | Self::Upgrade { waits: true }
                | Self::Stacks
                | Self::Drain
        )
    }

    /// Whether it changes something, and so is a line in the log.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::Show(_) | Self::Status | Self::Stacks | Self::Help
        )
    }

    fn show(rest: &[&str]) -> Result<Self, String> {
        let Some(target) = rest.first() else {
            let targets = "all|workers|dirty|config|stats|listeners";
            return Err(format!("Missing show target ({targets})"));
        };
        Ok(Self::Show(match target.to_lowercase().as_str() {
            "all" => ShowTarget::All,
            "workers" => ShowTarget::Workers,
            "dirty" => ShowTarget::Dirty,
            "config" => ShowTarget::Config,
            "stats" => ShowTarget::Stats,
            "listeners" => ShowTarget::Listeners,
            other => return Err(format!("Unknown show target: {other}")),
        }))
    }

    fn worker(rest: &[&str]) -> Result<Self, String> {
        let Some(action) = rest.first() else {
            return Err("Missing worker action (add|remove|kill)".to_owned());
        };
        let argument = rest.get(1).copied();
        // gunicorn takes what is below one for one.
        let count = || argument.map_or(Ok(1), number).map(|it| it.max(1));
        let needed = |what: &str| {
            let text = format!("Missing {what} for worker {action}");
            argument.ok_or(text).and_then(number)
        };
        match action.to_lowercase().as_str() {
            "add" => Ok(Self::AddWorkers(size(count()?))),
            "remove" => Ok(Self::RemoveWorkers(size(count()?))),
            "set" => match needed("count")? {
                count @ 1.. => Ok(Self::SetWorkers(size(count))),
                count => Err(format!("there is one worker at least, not {count}")),
            },
            "kill" => Ok(Self::KillWorker(
                i32::try_from(needed("PID")?).unwrap_or(-1),
            )),
            other => Err(format!("Unknown worker action: {other}")),
        }
    }
}

/// gunicorn takes any other word for graceful. Whoever asks for something else should hear of it.
fn shutdown_mode(rest: &[&str]) -> Result<ShutdownMode, String> {
    match rest.first().copied() {
        None | Some("graceful") => Ok(ShutdownMode::Graceful),
        Some("quick") => Ok(ShutdownMode::Quick),
        Some(other) => Err(format!(
            "Invalid argument: Unknown shutdown mode: {other} (graceful|quick)"
        )),
    }
}

/// Reads it as Python's `int` does. A number beyond all others stands for one that is too large.
fn number(text: &str) -> Result<i64, String> {
    let plain = text.trim();
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "invalid literal for int() with base 10: '{}'",
            text.escape_default()
        ));
    }
    let most = match plain.starts_with('-') {
        true => i64::MIN,
        false => i64::MAX,
    };
    Ok(plain.parse().unwrap_or(most))
}

fn size(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ControlCommand, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        ControlCommand::parse(&words)
    }

    #[test]
    fn every_command_of_the_help_is_one() {
        for (usage, _) in HELP {
            for part in ["graceful", "quick", ""] {
                let line = usage
                    .replace("[graceful|quick]", part)
                    .replace(['[', ']'], "")
                    .replace("<N>", "N")
                    .replace('N', "3")
                    .replace("<PID>", "77");
                parse(line.trim()).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn numbers_and_cases_are_read_as_in_gunicorn() {
        assert_eq!(parse("worker add"), Ok(ControlCommand::AddWorkers(1)));
        assert_eq!(parse("Worker ADD +3"), Ok(ControlCommand::AddWorkers(3)));
        assert_eq!(parse("worker add -3"), Ok(ControlCommand::AddWorkers(1)));
        assert_eq!(
            parse("worker remove 0"),
            Ok(ControlCommand::RemoveWorkers(1))
        );
        let most = i64::MAX.to_string();
        let most = parse(&format!("worker add 9{most}"));
        assert!(matches!(most, Ok(ControlCommand::AddWorkers(512..))));
        assert_eq!(parse("worker kill 7"), Ok(ControlCommand::KillWorker(7)));
        assert_eq!(
            parse("SHOW Stats now"),
            Ok(ControlCommand::Show(ShowTarget::Stats))
        );
        assert_eq!(parse("reload"), Ok(ControlCommand::Reload { waits: false }));
        assert_eq!(
            parse("reload --wait"),
            Ok(ControlCommand::Reload { waits: true })
        );
    }

    #[test]
    fn errors_are_those_of_gunicorn() {
        let cases = [
            ("", "Invalid argument: Unknown command: "),
            ("nonsense", "Invalid argument: Unknown command: nonsense"),
            (
                "show",
                "Invalid argument: Missing show target (all|workers|dirty|config|stats|listeners)",
            ),
            ("show me", "Invalid argument: Unknown show target: me"),
            (
                "worker",
                "Invalid argument: Missing worker action (add|remove",
            ),
            ("worker of", "Invalid argument: Unknown worker action: of"),
            (
                "worker kill",
                "Invalid argument: Missing PID for worker kill",
            ),
            (
                "worker add x",
                "Invalid argument: invalid literal for int() with base 10: 'x'",
            ),
            (
                "worker set 0",
                "Invalid argument: there is one worker at least",
            ),
            (
                "shutdown now",
                "Invalid argument: Unknown shutdown mode: now",
            ),
            ("dirty add", "there are no dirty workers here"),
        ];
        for (line, expected) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
