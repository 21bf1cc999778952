//! What the master does for a control client. A command is the same event for the supervisor as the signal of the same
//! meaning, so the supervisor knows nothing of clients.

use std::ops::ControlFlow::{self, Continue};
use std::time::Instant;

use log::info;
use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::message::PROBE;
use oxicorn_common::scoreboard::RestartReason;
use serde_json::{Value, json};

use super::{Leave, Master};
use crate::control::answers::{ControlView, help};
use crate::control::command::ControlCommand;
use crate::control::request::ControlRequest;
use crate::control::{Awaited, ClientId};
use crate::supervisor::{ChildId, ChildKind, Event, Supervisor};

/// What a command leads to.
struct CommandPlan {
    events: Vec<Event>,
    answer: ControlReply,
}

enum ControlReply {
    Now(Result<Value, String>),
    /// The change of the number of workers that the events have made.
    Workers,
    Later(Awaited),
}

impl Master {
    /// Serves the clients of the control socket.
    pub(super) fn serve_control(&mut self, supervisor: &mut Supervisor) -> ControlFlow<Leave> {
        for (client, request) in self.control.turn(Instant::now()) {
            self.run_command(client, &request, supervisor)?;
        }
        if self.control.has_stacks() {
            let status = self.control_view(supervisor).status();
            self.control.end_stacks(&status.unwrap_or_default());
        }
        self.control.flush(Instant::now());
        Continue(())
    }

    fn run_command(
        &mut self,
        client: ClientId,
        request: &ControlRequest,
        supervisor: &mut Supervisor,
    ) -> ControlFlow<Leave> {
        let command = match ControlCommand::parse(&request.words) {
            Ok(command) => command,
            Err(error) => {
                self.control.answer(client, Err(error));
                return Continue(());
            }
        };
        if command.is_awaited() && !self.control.admits_waiting() {
            let text = "Too many clients wait already: end some, or ask without --wait";
            self.control.answer(client, Err(text.to_owned()));
            return Continue(());
        }
        if command.is_change() {
            let words = request.words.join(" ");
            info!("Handling control command: {}", words.escape_debug());
        }
        if command == ControlCommand::Stacks {
            self.ask_for_stacks(supervisor);
        }
        let CommandPlan { events, answer } = self.plan(&command, supervisor);
        let before = supervisor.floor();
        let is_worker_change = matches!(answer, ControlReply::Workers);
        // Before the events: they may end this process.
        match answer {
            ControlReply::Now(answer) => self.control.answer(client, answer),
            ControlReply::Later(awaited) => self.control.wait_for(client, awaited),
            ControlReply::Workers => {}
        }
        self.control.flush(Instant::now());
        for event in events {
            let actions = supervisor.handle(event, Instant::now());
            self.carry_out(supervisor, actions)?;
        }
        if is_worker_change {
            let change = worker_change(&command, before, supervisor.floor());
            self.control.answer(client, Ok(change));
        }
        Continue(())
    }

    fn plan(&self, command: &ControlCommand, supervisor: &Supervisor) -> CommandPlan {
        let refuse = |reason: String| CommandPlan {
            events: Vec::new(),
            answer: ControlReply::Now(Err(reason)),
        };
        let tell = |data| CommandPlan {
            events: Vec::new(),
            answer: ControlReply::Now(Ok(data)),
        };
        let signal = |signal, data| CommandPlan {
            events: vec![Event::Signal(signal)],
            answer: ControlReply::Now(Ok(data)),
        };
        let signals = |signal, count: usize| CommandPlan {
            events: (0..count).map(|_| Event::Signal(signal)).collect(),
            answer: ControlReply::Workers,
        };
        let await_it = |signal, awaited| CommandPlan {
            events: vec![Event::Signal(signal)],
            answer: ControlReply::Later(awaited),
        };
        let (wanted, most) = (supervisor.floor(), supervisor.most_workers());
        let too_many = |count: usize| {
            refuse(format!(
                "Invalid argument: {count} workers; this server may have 1 to {most}"
            ))
        };
        // A second SIGTERM would end drain_delay; who only asks again wants to wait for the rest of it.
        let asks_again = |signal| signal == Signal::SIGTERM && supervisor.is_ending();
        let end = Awaited::End {
            generation: supervisor.newest(),
        };
        match command {
            ControlCommand::Show(target) => tell(self.control_view(supervisor).show(*target)),
            ControlCommand::Status => match self.control_view(supervisor).status() {
                Ok(status) => tell(status),
                Err(error) => refuse(error),
            },
            ControlCommand::Help => tell(help()),
            ControlCommand::Reopen => signal(Signal::SIGUSR1, json!({"status": "reopening"})),
            ControlCommand::Shutdown(mode) => {
                let data = json!({"status": "shutting_down", "mode": mode.name()});
                match asks_again(mode.signal()) {
                    true => tell(data),
                    false => signal(mode.signal(), data),
                }
            }
            ControlCommand::Stacks => CommandPlan {
                events: Vec::new(),
                answer: ControlReply::Later(Awaited::Stacks),
            },
            ControlCommand::Drain if asks_again(Signal::SIGTERM) => CommandPlan {
                events: Vec::new(),
                answer: ControlReply::Later(end),
            },
            ControlCommand::Drain => await_it(Signal::SIGTERM, end),
            _ if supervisor.is_ending() => refuse("The server is shutting down".to_owned()),
            ControlCommand::AddWorkers(count) => match wanted.saturating_add(*count) {
                total if total > most => too_many(total),
                _ => signals(Signal::SIGTTIN, *count),
            },
            // One stays, however many are to go.
            ControlCommand::RemoveWorkers(count) => signals(Signal::SIGTTOU, wanted.min(*count)),
            ControlCommand::SetWorkers(count) if *count > most => too_many(*count),
            ControlCommand::SetWorkers(count) => match wanted.checked_sub(*count) {
                Some(surplus) => signals(Signal::SIGTTOU, surplus),
                None => signals(Signal::SIGTTIN, count - wanted),
            },
            ControlCommand::KillWorker(pid) => match self.children.find(*pid) {
                None => tell(json!({"success": false, "error": format!("Worker {pid} not found")})),
                Some(id) => CommandPlan {
                    events: vec![Event::Message {
                        id,
                        message: Message::Replace {
                            why: RestartReason::Signal,
                        },
                    }],
                    answer: ControlReply::Now(Ok(json!({"success": true, "killed": pid}))),
                },
            },
            ControlCommand::Reload { waits: false } => {
                signal(Signal::SIGHUP, json!({"status": "reloading"}))
            }
            ControlCommand::Reload { waits: true } => {
                let generation = supervisor.newest() + 1;
                await_it(Signal::SIGHUP, Awaited::Reload { generation })
            }
            // Whoever has asked for it may be gone, and this one asks for the outcome.
            ControlCommand::Upgrade { waits: true } if self.upgrade.is_booting() => CommandPlan {
                events: Vec::new(),
                answer: ControlReply::Later(Awaited::NewMaster),
            },
            ControlCommand::Upgrade { waits } => match (self.upgrade.state().obstacle(), waits) {
                (Some(obstacle), _) => refuse(format!("Upgrade refused: {obstacle}")),
                (None, true) => await_it(Signal::SIGUSR2, Awaited::NewMaster),
                (None, false) => signal(Signal::SIGUSR2, json!({"status": "upgrading"})),
            },
        }
    }

    /// Asks all workers that have an event loop, unless they have been asked just now.
    fn ask_for_stacks(&mut self, supervisor: &Supervisor) {
        if self.control.awaits_stacks() {
            return;
        }
        let workers = supervisor.children();
        let asked: Vec<(ChildId, i32)> = workers
            .filter(|child| child.kind == ChildKind::Web && child.ready_at.is_some())
            .map(|child| (child.id, child.pid))
            .collect();
        let page = self.context.shared.scoreboard.master();
        let round = page.stack_round() + 1;
        page.set_stack_round(round);
        self.control.await_stacks(round, &asked);
        for (id, _) in asked {
            self.children.signal(id, PROBE);
        }
    }

    fn control_view<'a>(&'a self, supervisor: &'a Supervisor) -> ControlView<'a> {
        ControlView {
            supervisor,
            served: &self.control.served,
            newest: self.generations.values().next_back(),
            shared: &self.context.shared,
            lifetime: &self.lifetime,
            upgrade: self.upgrade.state(),
            socket: self.control.path(),
        }
    }
}

/// gunicorn's answer to `worker add` and `worker remove`.
fn worker_change(command: &ControlCommand, before: usize, after: usize) -> Value {
    let mut data = json!({"previous": before, "total": after});
    match command {
        ControlCommand::RemoveWorkers(_) => data["removed"] = (before.saturating_sub(after)).into(),
        ControlCommand::AddWorkers(_) => data["added"] = (after.saturating_sub(before)).into(),
        _ => {}
    }
    data
}
