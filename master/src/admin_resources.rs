//! What the admin process of one generation is started with: its sockets, certificates and secret.

use std::os::fd::OwnedFd;

use anyhow::Context;
use oxicorn_admin::AdminToken;
use oxicorn_common::Settings;
use oxicorn_common::address::Address;
use oxicorn_common::settings::is_local;
use oxicorn_worker::TlsConfig;

use crate::listeners::Listeners;

/// Empty if there is no admin process.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdminResources {
    pub(crate) listeners: Listeners,
    /// Read from files that children may not be allowed to read, like the token.
    pub(crate) tls: Option<TlsConfig>,
    token: Option<AdminToken>,
    certificates: bool,
}

impl AdminResources {
    /// Those of a start: sockets that the old master has left, and new ones.
    pub(crate) fn start(
        inherited: Vec<(OwnedFd, Address)>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        Self::read(settings)?.listening(settings, |addresses| {
            Ok(Listeners::bind(inherited, addresses, settings)?)
        })
    }

    /// Those of a reload. On an error nothing of `self` has changed.
    pub(crate) fn next(&self, settings: &Settings) -> anyhow::Result<Self> {
        Self::read(settings)?.listening(settings, |addresses| {
            Ok(self.listeners.rebind(addresses, settings)?)
        })
    }

    /// Whether its files can be read, for `--check-config`.
    pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
        Self::read(settings).map(drop)
    }

    pub(crate) fn exist(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// The addresses, for the log.
    pub(crate) fn describe(&self) -> String {
        self.listeners.describe(self.tls.is_some())
    }

    /// The secret, if requests need it.
    pub(crate) fn token(&self) -> Option<AdminToken> {
        self.token.clone()
    }

    /// Whether clients have to show a certificate.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.certificates
    }

    fn read(settings: &Settings) -> anyhow::Result<Self> {
        let admin = &settings.admin;
        if admin.bind.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self {
            listeners: Listeners::default(),
            tls: TlsConfig::load_admin(settings)?,
            token: AdminToken::read(admin)?,
            certificates: admin.tls.ca_certs.is_some(),
        })
    }

    fn listening(
        self,
        settings: &Settings,
        bind: impl FnOnce(&[Address]) -> anyhow::Result<Listeners>,
    ) -> anyhow::Result<Self> {
        let listeners = bind(&settings.admin.bind).context("admin_bind")?;
        // The address of a descriptor is only known now.
        let open = listeners.addresses().find(|it| !is_local(it));
        if let Some(open) = open.filter(|_| !settings.admin.has_credentials()) {
            let reason = format!(
                "admin_bind: other hosts reach {open}; set admin_token, admin_token_file or \
                 admin_ca_certs, or listen at 127.0.0.1 or a Unix socket"
            );
            listeners.retire(std::iter::empty());
            anyhow::bail!(reason);
        }
        Ok(Self { listeners, ..self })
    }
}
