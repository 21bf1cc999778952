//! `top`: what each worker does, again and again.

use std::convert::Infallible;
use std::fmt::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use serde_json::Value;

use super::exit::{CtlError, CtlExit};
use super::figures::{Latency, WorkerFigures, workers_in};
use super::link::CtlLink;
use super::output::Output;
use super::table::table;
use super::terminal::{Terminal, is_terminal};
use super::units::{printable, time};

const INTERVAL: Duration = Duration::from_secs(1);
const QUESTION: &[&str] = &["status"];

/// One answer, and when it came.
struct Snapshot {
    at: Instant,
    status: Value,
    workers: Vec<WorkerFigures>,
}

pub(super) fn run(
    link: &mut CtlLink,
    options: &ArgMatches,
    output: &Output,
) -> Result<CtlExit, CtlError> {
    let interval = options.get_one::<Duration>("interval").copied();
    let interval = interval.unwrap_or(INTERVAL);
    let before = Snapshot::of(link.call(QUESTION)?);
    if options.get_flag("once") || output.is_json() || !is_terminal() {
        sleep(interval);
        let now = Snapshot::of(link.call(QUESTION)?);
        output.show(&now.status, || now.screen(&before, usize::MAX));
        return Ok(CtlExit::Done);
    }
    match draw(link, before, interval) {
        Err(CtlError::Left) => Ok(CtlExit::Done),
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}

/// Until the user leaves, or the server does not answer.
fn draw(
    link: &mut CtlLink,
    mut before: Snapshot,
    interval: Duration,
) -> Result<Infallible, CtlError> {
    let mut screen = Terminal::take()?;
    let mut now = Snapshot::of(link.call_with(QUESTION, &mut screen)?);
    loop {
        let (columns, _) = screen.size();
        screen.draw(&now.screen(&before, columns))?;
        screen.rest(interval)?;
        let next = Snapshot::of(link.call_with(QUESTION, &mut screen)?);
        before = std::mem::replace(&mut now, next);
    }
}

impl Snapshot {
    fn of(status: Value) -> Self {
        Self {
            at: Instant::now(),
            workers: workers_in(&status),
            status,
        }
    }

    fn screen(&self, before: &Self, columns: usize) -> String {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        let server = &self.status["server"];
        let requests = |of: &Self| of.status["requests"]["total"].as_u64().unwrap_or(0);
        let errors = |of: &Self| of.status["requests"]["errors"].as_u64().unwrap_or(0);
        let rate = |of: &dyn Fn(&Self) -> u64| {
            of(self).saturating_sub(of(before)) as f64 / seconds.max(0.001)
        };
        let latency = |of: &Self| Latency::of(&of.status["requests"]["latency"]);
        let between = latency(self).since(&latency(before));
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{}, pid {}, {}: {:.0} requests/s, {:.1} 5xx/s, {} running, {} on average, 99% within {}",
            printable(server["application"].as_str().unwrap_or_default()),
            server["pid"],
            printable(server["state"].as_str().unwrap_or_default()),
            rate(&requests),
            rate(&errors),
            self.status["requests"]["active"],
            time(between.average()),
            time(between.quantile(0.99)),
        );
        let _ = write!(
            text,
            "\n{}",
            table(&self.workers, &before.workers, Some(seconds), columns)
        );
        text
    }
}
