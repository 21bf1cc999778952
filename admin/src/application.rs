//! How the admin process is made: the settings that it serves with, and its [`App`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nix::unistd::Pid;
use oxicorn_common::metrics::MetricMemory;
use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::settings::ProxySettings;
use oxicorn_common::status::{StatusContext, StatusReport};
use oxicorn_common::{
    App, Application, Handoff, LoadError, Request, Response, ResponseSink, Scoreboard, Settings,
    WorkerContext,
};

use crate::access::AccessRules;
use crate::backlog::{PublicListener, read_backlogs};
use crate::memory_meter::MemoryMeter;
use crate::page;
use crate::routes::answer;
use crate::token::AdminToken;

/// Request threads of the admin process: one slow client does not keep the others waiting.
pub const ADMIN_THREADS: usize = 2;

/// What the master tells the admin process of its generation.
#[derive(Debug)]
pub struct AdminFacts {
    /// The pid of the master.
    pub master: Pid,
    pub token: Option<AdminToken>,
    /// Clients have to show a certificate.
    pub certificates: bool,
    /// The name of the application that the workers serve.
    pub application: String,
    /// The settings of the workers.
    pub threads_per_worker: usize,
    pub timeout: Duration,
    pub listeners: Vec<PublicListener>,
    /// That of the workers, for the number of requests in it.
    pub handoff: Handoff,
    pub metric_memory: MetricMemory,
    /// Of the workers.
    pub rate_limits: Option<Arc<RateLimitSet>>,
}

/// The application of an admin process.
#[derive(Debug)]
pub struct AdminApplication(Arc<AdminFacts>);

impl AdminApplication {
    pub fn new(facts: AdminFacts) -> Self {
        Self(Arc::new(facts))
    }
}

impl Application for AdminApplication {
    fn name(&self) -> &str {
        "admin"
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        let facts = Arc::clone(&self.0);
        let scoreboard = context.scoreboard.clone();
        let memory = MemoryMeter::start(scoreboard.clone()).context("no thread for memory")?;
        Ok(Box::new(AdminApp {
            access: AccessRules::new(facts.token.clone(), facts.certificates),
            scoreboard,
            memory,
            facts,
        }))
    }
}

/// What answers requests.
#[derive(Debug)]
pub(crate) struct AdminApp {
    pub(crate) facts: Arc<AdminFacts>,
    pub(crate) scoreboard: Scoreboard,
    access: AccessRules,
    memory: MemoryMeter,
}

impl AdminApp {
    /// Everything that is known at this moment.
    pub(crate) fn report(&self) -> StatusReport {
        let facts = &self.facts;
        let mut report = StatusReport::read(StatusContext {
            scoreboard: &self.scoreboard,
            handoff: &facts.handoff,
            application: facts.application.clone(),
            threads_per_worker: facts.threads_per_worker,
            timeout_seconds: facts.timeout.as_secs_f64(),
            listeners: read_backlogs(&facts.listeners),
            application_metrics: facts.metric_memory.report(),
            rate_limits: facts
                .rate_limits
                .as_ref()
                .map_or_else(Vec::new, |it| it.report()),
        });
        self.memory.fill(&mut report.workers);
        report
    }
}

impl App for AdminApp {
    fn call(&self, request: &mut Request, _: &mut ResponseSink<'_>) -> Response {
        let checked = match request.path() {
            page::PATH => self.access.check_public(request),
            _ => self.access.check(request),
        };
        match checked {
            Ok(()) => answer(self, request),
            Err(denied) => denied.reply(),
        }
    }
}

/// The settings that the admin process serves with. Of those of the server it takes nothing that is meant for its clients:
/// no proxy, no hooks, no limits.
pub fn admin_settings(settings: &Settings) -> Settings {
    Settings {
        threads: ADMIN_THREADS,
        worker_connections: 64,
        keepalive: Duration::from_secs(75),
        timeout: Duration::from_secs(30),
        graceful_timeout: Duration::from_secs(2),
        // No request here has a body, and one that does not come keeps a place.
        body_timeout: Duration::from_secs(1),
        limit_request_body: 1024,
        body_buffer_size: 1024,
        // It counts towards the total.
        recycling: settings.recycling,
        proxy: ProxySettings::default(),
        server_header: settings.server_header.clone(),
        tmp_upload_dir: settings.tmp_upload_dir.clone(),
        ..Settings::default()
    }
}
