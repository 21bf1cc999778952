//! Reload: a whole generation is replaced by the next, ready first.
//!
//! ```text
//!   generation 1   serves ---------------------------- drains, one child for each that is ready
//!   generation 2            boots ---- first ready: proven ---- all ready: it alone serves
//!                             `------- none ready, all dead: given up, 1 serves on
//! ```
//!
//! Until a generation is proven the one before is kept up whole, so a bad release costs nothing. The very first
//! generation has none before it: if it fails, the server ends.

use std::time::Instant;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::exit_code;

use super::Supervisor;
use super::child::{Child, ChildKind};
use super::event::Action;
use super::plan::Plan;
use super::worker_count::WorkerCount;

#[derive(Debug, Default)]
pub(super) struct Generations {
    /// The last proven generation: its number of children is kept up, and older ones make room for it.
    current: Option<(u32, Plan)>,
    /// Started, and not proven.
    incoming: Option<Incoming>,
    newest: u32,
    /// None before this one has children or resources.
    alone: u32,
    /// SIGHUP has come, and its settings have not been read yet.
    reloading: bool,
    /// SIGHUP has come while another generation was starting.
    again: bool,
    /// The last change of code for which a reload was begun.
    changed: u64,
}

#[derive(Debug)]
struct Incoming {
    generation: u32,
    plan: Plan,
    /// The number of workers once it is proven, if that changes.
    count: Option<WorkerCount>,
    load_error: bool,
    /// Why a worker of it could not boot.
    failure: Option<String>,
}

impl Generations {
    /// The generation whose number of children is kept up, and its plan.
    pub(super) fn serving(&self) -> Option<(u32, &Plan)> {
        let (generation, plan) = self.current.as_ref()?;
        Some((*generation, plan))
    }

    /// The number of workers that the starting generation brings, if that changes.
    pub(super) fn count_to_come(&self) -> Option<WorkerCount> {
        self.incoming.as_ref()?.count
    }

    /// Whether no child or resource is left of the generations before it.
    pub(super) fn is_alone(&self, generation: u32) -> bool {
        self.alone == generation
    }

    /// A worker of `generation` could not boot.
    pub(super) fn note_failure(&mut self, generation: u32, text: String) {
        let incoming = self.incoming.as_mut();
        if let Some(incoming) = incoming.filter(|it| it.generation == generation) {
            incoming.failure = Some(text);
        }
    }

    /// A reload that waits for the end of another one does not begin any more; false if none waits.
    pub(super) fn refuse_next(&mut self) -> bool {
        std::mem::take(&mut self.again)
    }

    pub(super) fn is_incoming(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether `generation` is not proven, and another one serves meanwhile.
    pub(super) fn is_on_trial(&self, generation: u32) -> bool {
        let incoming = self.incoming.as_ref();
        self.current.is_some() && incoming.is_some_and(|it| it.generation == generation)
    }

    pub(super) fn is_serving(&self, generation: u32) -> bool {
        self.serving()
            .is_some_and(|(serving, _)| serving == generation)
    }
}

impl Supervisor {
    /// The number of the generation that began last.
    pub(crate) fn newest(&self) -> u32 {
        self.generations.newest
    }

    /// The number of the generation that serves; 0 before the first.
    pub(crate) fn serving_generation(&self) -> u32 {
        self.generations.serving().map_or(0, |(serving, _)| serving)
    }

    pub(super) fn ask_for_reload(&mut self) {
        if self.generations.reloading || self.generations.incoming.is_some() {
            self.generations.again = true;
            self.log(
                Level::Info,
                "A reload is under way; the next one follows".into(),
            );
        } else {
            self.generations.reloading = true;
            let generation = self.newest() + 1;
            self.actions.push(Action::Reload { generation });
        }
    }

    /// A worker has found that code has changed. All of them will, but one reload is enough.
    ///
    /// Reports of the newest generation are right even if the clock of their file system is behind.
    pub(super) fn on_code_changed(&mut self, generation: u32, file: &str, stamp: u64) {
        let known = self.generations.changed;
        let is_new = match generation == self.newest() {
            true => stamp != known,
            false => stamp > known,
        };
        if !self.is_ending() && is_new {
            self.generations.changed = stamp;
            self.log(Level::Info, format!("Reloading because {file} has changed"));
            self.ask_for_reload();
        }
    }

    /// Nothing has changed; the next reload may succeed.
    pub(super) fn on_reload_failed(&mut self, reason: &str) {
        let text = format!("Reload failed, everything stays as it is: {reason}");
        self.log(Level::Error, text);
        self.report_reload(self.newest() + 1, Some(reason.to_owned()));
        self.generations.reloading = false;
        // For a process that waits for the reload, it is over.
        self.actions.push(Action::Serving);
        self.reload_again();
    }

    /// Starts all children of a new generation at once.
    pub(super) fn begin_generation(&mut self, plan: Plan, now: Instant) {
        self.generations.reloading = false;
        if self.stopping.is_some() {
            return;
        }
        if self.wound_down != 0 {
            self.wind_up();
        }
        let generations = &mut self.generations;
        generations.newest += 1;
        let generation = generations.newest;
        // What SIGTTIN and SIGTTOU have set holds until the setting itself changes.
        let before = generations.current.as_ref().map(|(_, plan)| plan.clone());
        let count = match &before {
            Some(before) => self.count().after(before, &plan),
            None => Some(WorkerCount::after_upgrade(&plan, self.needed_before)),
        };
        if let (None, Some(count)) = (&before, count) {
            self.set_count(count);
            self.runners.target = plan.runners;
            self.admin.target = usize::from(plan.admin);
        }
        self.memory.forget();
        for kind in ChildKind::ALL {
            self.set_mut(kind).backoff.succeed();
        }
        self.generations.incoming = Some(Incoming {
            generation,
            plan: plan.clone(),
            count,
            load_error: false,
            failure: None,
        });
        if generation > 1 {
            // After each reload, as in gunicorn, whether it has changed or not.
            self.report_workers(self.workers_wanted());
        }
        for kind in ChildKind::ALL {
            let count = match kind {
                ChildKind::Web => self.workers_wanted(),
                ChildKind::Runner => plan.runners,
                ChildKind::Admin => usize::from(plan.admin),
            };
            for _ in 0..count {
                self.start(kind, generation, &plan, None, now);
            }
        }
        self.judge_generation(ChildKind::Web, generation, None, now);
    }

    /// The first ready worker proves that its generation can serve.
    pub(super) fn prove_generation(&mut self, kind: ChildKind, generation: u32) {
        let generations = &mut self.generations;
        let proof =
            |incoming: &mut Incoming| kind == ChildKind::Web && incoming.generation == generation;
        let Some(proven) = generations.incoming.take_if(proof) else {
            return;
        };
        self.note_overtaken();
        self.set_count(proven.count.unwrap_or(self.count()));
        self.runners.target = proven.plan.runners;
        self.admin.target = usize::from(proven.plan.admin);
        self.generations.current = Some((generation, proven.plan));
        self.settling.restart();
        self.reload_failure = None;
        self.actions.push(Action::Serving);
        self.reload_again();
    }

    /// Abandons a generation when the last of its workers has failed to boot.
    pub(super) fn judge_generation(
        &mut self,
        kind: ChildKind,
        generation: u32,
        exit_code: Option<i32>,
        now: Instant,
    ) {
        let booting = self.live(ChildKind::Web, generation).next().is_some();
        let Some(incoming) = &mut self.generations.incoming else {
            return;
        };
        if incoming.generation != generation || kind != ChildKind::Web {
            return;
        }
        incoming.load_error |= exit_code == Some(exit_code::LOAD_ERROR);
        if booting {
            return;
        }
        let load_error = incoming.load_error;
        let failure = incoming.failure.take();
        self.generations.incoming = None;
        let reason = if load_error {
            "the application could not be loaded"
        } else {
            "no worker could boot"
        };
        if self.generations.current.is_none() {
            let code = if load_error {
                exit_code::LOAD_ERROR
            } else {
                exit_code::BOOT_ERROR
            };
            self.log(Level::Error, format!("Shutting down: {reason}"));
            return self.shut_down(Some(Signal::SIGQUIT), code, now);
        }
        // SIGHUP after SIGWINCH asks for workers, and those of before are better than none.
        let were_gone = self.wound_down != 0 && generation > self.wound_down;
        let follows = match were_gone {
            true => "the generation of before starts its workers again",
            false => "the workers of before serve on",
        };
        if were_gone {
            self.wound_down = 0;
        }
        let text = format!("Reload given up: {reason}; {follows}");
        self.log(Level::Error, text);
        let failure = match failure {
            Some(text) => format!("{reason}: {text}"),
            None => reason.to_owned(),
        };
        self.report_reload(generation, Some(failure));
        for id in self.ids(|child| child.generation == generation) {
            self.drain(id, now);
        }
        self.actions.push(Action::Forget { generation });
        // For a process that waits for the reload, it is over.
        self.actions.push(Action::Serving);
        self.web.backoff.succeed();
        self.reload_again();
    }

    /// Ends a reload when no child of the older generations serves any more. An old admin process may stay as long as the
    /// new one cannot boot: clients do not depend on it.
    pub(super) fn conclude_reload(&mut self) {
        let Some((generation, _)) = self.generations.serving() else {
            return;
        };
        let alone = self.generations.alone;
        let older = |child: &Child| {
            child.is_live() && child.generation < generation && child.kind != ChildKind::Admin
        };
        let boots = |child: &Child| !child.is_ready();
        let booting = alone == 0 && self.live(ChildKind::Web, generation).any(boots);
        if alone == generation || booting || self.children.values().any(older) {
            return;
        }
        let forgotten = alone.max(1)..generation;
        self.generations.alone = generation;
        self.actions
            .extend(forgotten.map(|generation| Action::Forget { generation }));
        let count = self.live(ChildKind::Web, generation).count();
        let text = format!("Generation {generation} serves with {count} workers");
        self.log(Level::Info, text);
    }

    fn reload_again(&mut self) {
        if std::mem::take(&mut self.generations.again) {
            self.ask_for_reload();
        }
    }
}
