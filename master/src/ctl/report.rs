//! Answers as text.

use std::fmt::Write;

use serde_json::Value;

use super::figures::{Latency, WorkerFigures, workers_in};
use super::table::table;
use super::units::{duration, printable, time};

/// The answer to `status`.
pub(super) fn status(status: &Value) -> String {
    let server = &status["server"];
    let mut text = String::new();
    let _ = writeln!(
        text,
        "oxicorn {}: {}, pid {}, {} for {}, generation {}",
        plain(&server["version"]),
        plain(&server["application"]),
        server["pid"],
        plain(&server["state"]),
        duration(server["uptime_seconds"].as_f64().unwrap_or(0.0)),
        server["generation"],
    );
    for listener in server["listeners"].as_array().into_iter().flatten() {
        let waiting = match listener["backlog"].as_u64() {
            Some(count) => format!(", {count} clients wait to be accepted"),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "listening at {}{waiting}",
            plain(&listener["address"])
        );
    }
    let workers = workers_in(status);
    let web: Vec<&WorkerFigures> = workers.iter().filter(|it| it.kind == "worker").collect();
    let sum = |of: fn(&WorkerFigures) -> usize| web.iter().map(|it| of(it)).sum::<usize>();
    let _ = writeln!(
        text,
        "workers: {} of {} ready; threads: {}, {} busy, {} stuck{}",
        web.iter().filter(|it| it.state == "ready").count(),
        server["workers_target"],
        sum(|it| it.threads),
        sum(|it| it.busy),
        sum(|it| it.stuck),
        match sum(|it| it.reserve) {
            0 => String::new(),
            count => format!(", {count} more in reserve"),
        },
    );
    if let Some(line) = scaling(&server["scaling"]) {
        let _ = writeln!(text, "{line}");
    }
    let requests = &status["requests"];
    let latency = Latency::of(&requests["latency"]);
    let _ = writeln!(
        text,
        "requests: {}, {} with 5xx, {} running; {} on average, 99% within {}",
        requests["total"],
        requests["errors"],
        requests["active"],
        time(latency.average()),
        time(latency.quantile(0.99)),
    );
    let connections = &status["connections"];
    let _ = writeln!(
        text,
        "connections: {} idle, {} reading, {} queued, {} running, {} writing",
        connections["idle"],
        connections["reading"],
        connections["queued"],
        connections["running"],
        connections["writing"],
    );
    let reloads = &status["reloads"];
    let _ = writeln!(
        text,
        "reloads: {} succeeded, {} failed",
        reloads["succeeded"], reloads["failed"]
    );
    let last = reloads["history"].as_array().and_then(|it| it.last());
    if let Some(failure) = last.and_then(|it| it["failure"].as_str()) {
        let _ = writeln!(text, "the last reload has failed: {}", first_line(failure));
    }
    for (title, counts) in [
        ("requests refused", &status["requests"]["refused"]),
        ("workers replaced", &status["restarts"]),
    ] {
        let counts = counts.as_object().into_iter().flatten();
        let counts: Vec<String> = counts
            .filter(|(_, count)| count.as_u64() != Some(0))
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        if !counts.is_empty() {
            let _ = writeln!(text, "{title}: {}", counts.join(", "));
        }
    }
    let _ = write!(text, "\n{}", table(&workers, &[], None, usize::MAX));
    text
}

/// Automatic scaling, where it is on.
fn scaling(scaling: &Value) -> Option<String> {
    let (floor, most) = (scaling["floor"].as_u64()?, scaling["most"].as_u64()?);
    let last = &scaling["last"];
    let last = match (last["direction"].as_str(), last["cause"].as_str()) {
        (Some("held"), Some(cause)) => {
            format!("held at {} by lack of {}", last["to"], printable(cause))
        }
        (Some(direction), Some(cause)) => format!(
            "{} from {} to {} ({})",
            printable(direction),
            last["from"],
            last["to"],
            printable(cause)
        ),
        _ => "nothing yet".to_owned(),
    };
    Some(format!("scaling: {floor} to {most} workers; last: {last}"))
}

/// The answer to `stacks`.
pub(super) fn stacks(stacks: &Value) -> String {
    let mut text = String::new();
    for worker in stacks["workers"].as_array().into_iter().flatten() {
        let silent = match worker["answered"].as_bool() {
            Some(false) => ", did not answer in time: what there is",
            _ => "",
        };
        let _ = writeln!(text, "worker {}{silent}", worker["pid"]);
        for thread in worker["threads"].as_array().into_iter().flatten() {
            let request = &thread["request"];
            let runs = match request["method"].as_str() {
                Some(method) => format!(
                    "{}, {} {} for {}",
                    plain(&thread["state"]),
                    printable(method),
                    plain(&request["path"]),
                    time(request["seconds"].as_f64()),
                ),
                None => plain(&thread["state"]),
            };
            let _ = writeln!(text, "  thread {}: {runs}", thread["index"]);
            for part in ["application", "native"] {
                let Some(stack) = thread[part].as_str() else {
                    continue;
                };
                let _ = writeln!(text, "    {part}");
                for line in stack.lines() {
                    let _ = writeln!(text, "    {}", printable(line));
                }
            }
        }
    }
    text
}

/// The answer to a command.
pub(super) fn done(data: &Value) -> String {
    let pid = |data: &Value| data["pid"].to_string();
    match data["status"].as_str() {
        Some("reloading") => "the server reloads".to_owned(),
        Some("reloaded") => format!("reloaded: generation {} serves", data["generation"]),
        Some("reopening") => "the log files are opened again".to_owned(),
        Some("shutting_down") => format!("the server shuts down ({})", plain(&data["mode"])),
        Some("upgrading") => "a new master starts".to_owned(),
        Some("upgraded") => format!(
            "the new master (pid {}) serves beside the old one; `shutdown` ends the old one",
            pid(data)
        ),
        Some("ended") => {
            let which = match data.get("generation") {
                Some(generation) => format!(" (pid {}, generation {generation})", pid(data)),
                None => String::new(),
            };
            format!(
                "the server{which} has ended with exit code {}",
                data["code"]
            )
        }
        _ if data.get("current").is_some() => {
            format!("{} workers, {} wanted", data["current"], data["total"])
        }
        _ if data.get("previous").is_some() => {
            format!("{} workers, {} before", data["total"], data["previous"])
        }
        _ => format!("{data:#}"),
    }
}

/// The answer to `show config`.
pub(super) fn config(config: &Value) -> String {
    let settings = config.as_object();
    let width = settings.into_iter().flatten().map(|it| it.0.len()).max();
    let width = width.unwrap_or(0);
    let lines = settings.into_iter().flatten();
    let lines = lines.map(|(name, value)| format!("{name:width$} = {}", plain(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A value as a setting has it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn first_line(text: &str) -> String {
    printable(text.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_from_clients_controls_no_terminal() {
        let settings = json!({"raw_env": ["A=1", "B=\u{7}"], "workers": 2, "chdir": null});
        assert_eq!(
            config(&settings),
            "chdir   = \nraw_env = A=1,B=\\u{7}\nworkers = 2"
        );
    }
}
