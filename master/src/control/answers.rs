//! The data of `show`, with gunicorn's keys and a few more.

use std::time::Instant;

use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::status::{StatusContext, StatusReport};
use serde_json::{Value, json};

use super::ServedApplication;
use super::command::{HELP, ShowTarget};
use super::config::show_config;
use crate::child_context::SharedResources;
use crate::generation::Generation;
use crate::lifetime::Lifetime;
use crate::supervisor::{Child, ChildKind, Supervisor, UpgradeState};

/// Everything that the answers are made from.
pub(crate) struct ControlView<'a> {
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) served: &'a ServedApplication,
    /// The newest generation, until the server stops.
    pub(crate) newest: Option<&'a Generation>,
    pub(crate) shared: &'a SharedResources,
    pub(crate) lifetime: &'a Lifetime,
    pub(crate) upgrade: UpgradeState,
    /// Where the control socket is, if there is one.
    pub(crate) socket: Option<String>,
}

impl ControlView<'_> {
    pub(crate) fn show(&self, target: ShowTarget) -> Value {
        match target {
            ShowTarget::All => self.all(),
            ShowTarget::Workers => self.workers(),
            // As in gunicorn without any.
            ShowTarget::Dirty => json!({
                "enabled": false, "pid": null, "workers": [], "apps": [],
            }),
            ShowTarget::Config => show_config(self.served, self.socket.as_deref()),
            ShowTarget::Stats => self.stats(),
            ShowTarget::Listeners => self.listeners(),
        }
    }

    /// Everything that can be known about the server.
    pub(crate) fn status(&self) -> Result<Value, String> {
        let settings = &self.served.settings;
        let listeners = self.newest.map(|it| it.listeners.status());
        let rate_limits = self.newest.and_then(|it| it.rate_limits.as_ref());
        let report = StatusReport::read(StatusContext {
            scoreboard: &self.shared.scoreboard,
            handoff: &self.shared.handoff,
            application: self.served.name().to_owned(),
            threads_per_worker: settings.threads,
            timeout_seconds: settings.timeout.as_secs_f64(),
            listeners: listeners.unwrap_or_default(),
            application_metrics: self.shared.metric_memory.report(),
            rate_limits: rate_limits.map_or_else(Vec::new, |it| it.report()),
        });
        serde_json::to_value(report).map_err(|error| format!("Command failed: {error}"))
    }

    fn workers(&self) -> Value {
        let workers: Vec<Value> = self.of_kind(ChildKind::Web).collect();
        json!({"count": workers.len(), "workers": workers})
    }

    fn all(&self) -> Value {
        let with_type = |name: &'static str| {
            move |mut child: Value| {
                child["type"] = name.into();
                child
            }
        };
        let web: Vec<Value> = self.of_kind(ChildKind::Web).map(with_type("web")).collect();
        let others = ChildKind::ALL
            .into_iter()
            .filter(|&it| it != ChildKind::Web);
        let others = others.flat_map(|kind| self.of_kind(kind).map(with_type(kind.noun())));
        let others: Vec<Value> = others.collect();
        json!({
            "arbiter": {"pid": std::process::id(), "type": "arbiter", "role": "master"},
            "web_worker_count": web.len(),
            "web_workers": web,
            "other_children": others,
            "dirty_arbiter": null,
            "dirty_workers": [],
            "dirty_worker_count": 0,
            "old_master": self.upgrade.old_master,
            "new_master": self.upgrade.new_master,
        })
    }

    fn stats(&self) -> Value {
        let lifetime = self.lifetime;
        let uptime = Instant::now().saturating_duration_since(lifetime.started);
        json!({
            "uptime": hundredths(uptime.as_secs_f64()),
            "pid": std::process::id(),
            "workers_current": self.children(ChildKind::Web).count(),
            "workers_target": self.supervisor.workers_wanted(),
            "workers_floor": self.supervisor.floor(),
            "workers_most": self.supervisor.most_workers(),
            "workers_spawned": lifetime.spawned,
            "workers_killed": lifetime.killed,
            "reloads": lifetime.reloads,
            "dirty_arbiter_pid": null,
            "generation": self.supervisor.newest(),
            "state": self.supervisor.server_state().as_str(),
        })
    }

    fn listeners(&self) -> Value {
        let newest = self.newest.into_iter();
        let listeners = newest.flat_map(|it| it.listeners.describe_each(it.tls.is_some()));
        let listeners: Vec<Value> = listeners
            .map(|(address, fd, family)| json!({"address": address, "fd": fd, "type": family}))
            .collect();
        json!({"count": listeners.len(), "listeners": listeners})
    }

    fn of_kind(&self, kind: ChildKind) -> impl Iterator<Item = Value> {
        self.children(kind).map(|child| self.child(child))
    }

    /// The children whose processes exist, the oldest first.
    fn children(&self, kind: ChildKind) -> impl Iterator<Item = &Child> {
        let children = self.supervisor.children();
        children.filter(move |child| child.kind == kind && child.pid != 0)
    }

    fn child(&self, child: &Child) -> Value {
        let beat = self.shared.scoreboard.slot(child.slot).heartbeat();
        let silence = monotonic_millis().saturating_sub(beat) as f64 / 1000.0;
        json!({
            "pid": child.pid,
            "age": child.id,
            "booted": child.ready_at.is_some(),
            "aborted": child.is_killed(),
            "last_heartbeat": (beat != 0).then(|| hundredths(silence)),
            "generation": child.generation,
            "state": child.state.name(),
        })
    }
}

/// The data of `help`.
pub(crate) fn help() -> Value {
    let commands: serde_json::Map<String, Value> = HELP
        .iter()
        .map(|&(usage, text)| (usage.to_owned(), text.into()))
        .collect();
    json!({"commands": commands})
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
