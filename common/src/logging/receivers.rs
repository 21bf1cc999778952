//! The receivers of log lines and metrics besides the log files: syslog, statsd, and the process that hosts
//! the server.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::losses::LossReport;
use super::options::LoggingOptions;
use super::redirect::InstalledRedirect;
use super::statsd::StatsdClient;
use super::syslog::SyslogClient;

/// False in nearly every process, which then looks no further.
static ANY: AtomicBool = AtomicBool::new(false);
static CURRENT: RwLock<Receivers> = RwLock::new(Receivers {
    syslog: None,
    statsd: None,
    redirect: None,
});
/// Whether any of them takes requests.
static REQUESTS: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Clone, Default)]
pub(super) struct Receivers {
    pub(super) syslog: Option<Arc<SyslogClient>>,
    pub(super) statsd: Option<Arc<StatsdClient>>,
    pub(super) redirect: Option<InstalledRedirect>,
}

impl Receivers {
    /// The receivers, if there are any. No lock is held while a receiver works.
    pub(super) fn current() -> Option<Self> {
        ANY.load(Ordering::Acquire).then(|| {
            let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
            current.clone()
        })
    }

    /// Finds the receivers that `options` name. Those that stay the same go on as they are.
    pub(super) fn prepare(options: &LoggingOptions) -> io::Result<Self> {
        let current = Self::current().unwrap_or_default();
        let failed = |setting, error: io::Error| {
            io::Error::new(error.kind(), format!("{setting}: cannot find {error}"))
        };
        let same = |old: &Arc<SyslogClient>| Some(&old.options) == options.syslog.as_ref();
        let syslog = match (current.syslog.filter(same), &options.syslog) {
            (None, Some(options)) => {
                let new = SyslogClient::new(options.clone())
                    .map_err(|error| failed("syslog_addr", error))?;
                Some(Arc::new(new))
            }
            (same, _) => same,
        };
        let same = |old: &Arc<StatsdClient>| Some(&old.options) == options.statsd.as_ref();
        let statsd = match (current.statsd.filter(same), &options.statsd) {
            (None, Some(options)) => match StatsdClient::new(options.clone()) {
                Ok(new) => Some(Arc::new(new)),
                Err(error) => {
                    // gunicorn serves without metrics too.
                    log::warn!("{}; there will be no metrics", failed("statsd_host", error));
                    None
                }
            },
            (same, _) => same,
        };
        Ok(Self {
            syslog,
            statsd,
            redirect: current.redirect,
        })
    }

    pub(super) fn install(self) {
        let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
        let any = self.syslog.is_some() || self.statsd.is_some() || self.redirect.is_some();
        REQUESTS.store(self.want_requests(), Ordering::Release);
        *current = self;
        ANY.store(any, Ordering::Release);
    }

    /// Whether any receiver takes requests.
    pub(super) fn take_requests() -> bool {
        REQUESTS.load(Ordering::Acquire)
    }

    pub(super) fn want_access_lines(&self) -> bool {
        let syslog = self.syslog.as_ref();
        syslog.is_some_and(|syslog| syslog.options.access)
    }

    fn want_requests(&self) -> bool {
        let redirect = self.redirect.as_ref();
        self.want_access_lines() || self.statsd.is_some() || redirect.is_some_and(|it| it.access)
    }

    pub(super) fn set_redirect(redirect: Option<InstalledRedirect>) {
        let mut next = Self::current().unwrap_or_default();
        next.redirect = redirect;
        next.install();
    }

    /// Removes the redirect, and takes no more requests.
    pub(super) fn leave_host() {
        let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
        // Its destructor is code of the host.
        std::mem::forget(current.redirect.take());
        REQUESTS.store(false, Ordering::Release);
    }

    /// Sends what waits, and logs which receivers have begun or ceased to lose lines.
    pub(super) fn tend(&self) {
        if let Some(syslog) = &self.syslog {
            let address = &syslog.options.address;
            match syslog.tend() {
                Some(LossReport::Begun { reason }) => log::warn!(
                    "syslog at {address} takes no more lines ({reason}); they are dropped until it does"
                ),
                Some(LossReport::Ended { lost }) => {
                    log::warn!("syslog at {address} takes lines again; {lost} were dropped")
                }
                None => {}
            }
        }
        if let Some(statsd) = &self.statsd {
            let address = &statsd.options.address;
            match statsd.report() {
                Some(LossReport::Begun { reason }) => log::warn!(
                    "statsd at {address} takes no more metrics ({reason}); they are dropped until it does"
                ),
                Some(LossReport::Ended { lost }) => {
                    log::warn!(
                        "statsd at {address} takes metrics again; {lost} datagrams were dropped"
                    )
                }
                None => {}
            }
        }
    }
}
