//! [`Boot`]: the settings, application, listeners, pipe and shared memory of a new worker or runner.

use std::sync::Arc;

use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::{Application, Handoff, Listener, MessageSender, WorkerContext};

use crate::role::WorkerRole;
use crate::spare_listeners::SpareListeners;
use crate::threads::ExitProcess;
use crate::tls::TlsConfig;

#[allow(
    missing_debug_implementations,
    reason = "an application need not have one"
)]
pub struct Boot {
    pub role: WorkerRole,
    pub context: WorkerContext,
    pub application: Arc<dyn Application>,
    pub listeners: Vec<Listener>,
    /// What the worker would need as a mold, and lets go of when it drains otherwise: a socket that is open somewhere is
    /// not closed for clients.
    pub spare_listeners: SpareListeners,
    pub sender: Arc<MessageSender>,
    pub handoff: Handoff,
    /// Set if clients are to speak TLS.
    pub tls: Option<TlsConfig>,
    /// Set if there are limits for clients.
    pub rate_limits: Option<Arc<RateLimitSet>>,
    /// Ends the process of a web worker whose main thread is stuck, on another thread.
    pub end: ExitProcess,
}
