//! The limit of open files: the master raises its own, and children get the original one back.
//!
//! The soft limit is often a thousand, because select(2) cannot handle higher descriptors and an application may use
//! it. The master has one pipe per child, and uses poll(2).

use log::warn;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The original soft limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DescriptorLimit(Option<rlim_t>);

impl DescriptorLimit {
    /// Raises the soft limit to the hard one.
    pub(crate) fn raise() -> Self {
        let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
            Ok(soft)
        });
        if let Err(error) = raised {
            warn!("cannot raise the limit of open files: {error}");
        }
        Self(raised.ok())
    }

    /// Restores the original soft limit for this process and the programs that it executes.
    pub(crate) fn restore(self) {
        let Some(soft) = self.0 else { return };
        let lowered = getrlimit(Resource::RLIMIT_NOFILE)
            .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard));
        if let Err(error) = lowered {
            warn!("cannot lower the limit of open files again: {error}");
        }
    }
}
