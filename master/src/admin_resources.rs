//! What the admin process of one generation is started with: its sockets, certificates and secret.

use std::os::fd::OwnedFd;

use anyhow::{Context, bail};
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
        let read = Self::read(settings)?;
        let is_first = inherited.is_empty();
        let listeners = Listeners::bind(inherited, &settings.admin.bind, settings);
        let listeners = listeners.context("admin_bind")?;
        if let Err(reason) = refuse_open(&listeners, settings) {
            // The old master still needs the files of its own.
            if is_first {
                listeners.retire(std::iter::empty());
            }
            return Err(reason);
        }
        Ok(Self { listeners, ..read })
    }

    /// Those of a reload. On an error nothing of `self` has changed.
    pub(crate) fn next(&self, settings: &Settings) -> anyhow::Result<Self> {
        let read = Self::read(settings)?;
        let listeners = self.listeners.rebind(&settings.admin.bind, settings);
        let listeners = listeners.context("admin_bind")?;
        if let Err(reason) = refuse_open(&listeners, settings) {
            listeners.retire([&self.listeners].into_iter());
            return Err(reason);
        }
        Ok(Self { listeners, ..read })
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
}

/// Refuses an address that other hosts reach. The settings have been checked; that of a descriptor is only known now.
fn refuse_open(listeners: &Listeners, settings: &Settings) -> anyhow::Result<()> {
    let open = listeners.addresses().find(|it| !is_local(it));
    match open.filter(|_| !settings.admin.has_credentials()) {
        None => Ok(()),
        Some(open) => bail!(
            "admin_bind: other hosts reach {open}; set admin_token, admin_token_file or \
             admin_ca_certs, or listen at 127.0.0.1 or a Unix socket"
        ),
    }
}
