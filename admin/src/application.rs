//! How the admin process is made: the settings that it serves with, and its [`App`].

use std::time::Duration;

use nix::unistd::Pid;
use oxicorn_common::settings::ProxySettings;
use oxicorn_common::{
    App, Application, LoadError, Request, Response, ResponseSink, Scoreboard, Settings,
    WorkerContext,
};

use crate::access::AccessRules;
use crate::routes::answer;
use crate::token::AdminToken;

/// Request threads of the admin process: a slow client of the one does not keep others waiting.
pub const ADMIN_THREADS: usize = 2;

/// What the master tells the admin process of its generation.
#[derive(Debug, Clone)]
pub struct AdminFacts {
    /// The pid of the master.
    pub master: Pid,
    pub token: Option<AdminToken>,
    /// Clients have to show a certificate.
    pub certificates: bool,
}

/// The application of an admin process.
#[derive(Debug)]
pub struct AdminApplication(AdminFacts);

impl AdminApplication {
    pub fn new(facts: AdminFacts) -> Self {
        Self(facts)
    }
}

impl Application for AdminApplication {
    fn name(&self) -> &str {
        "admin"
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        let facts = self.0.clone();
        Ok(Box::new(AdminApp {
            access: AccessRules::new(facts.token.clone(), facts.certificates),
            scoreboard: context.scoreboard.clone(),
            facts,
        }))
    }
}

/// What answers requests.
#[derive(Debug)]
pub(crate) struct AdminApp {
    pub(crate) facts: AdminFacts,
    pub(crate) scoreboard: Scoreboard,
    access: AccessRules,
}

impl App for AdminApp {
    fn call(&self, request: &mut Request, _: &mut ResponseSink<'_>) -> Response {
        match self.access.check(request) {
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
        limit_request_body: 1024,
        body_buffer_size: 1024,
        proxy: ProxySettings::default(),
        server_header: settings.server_header.clone(),
        tmp_upload_dir: settings.tmp_upload_dir.clone(),
        ..Settings::default()
    }
}
