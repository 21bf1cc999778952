//! Holds up the boot of the lab's workers, as long as a test wants.

use std::fs;
use std::path::PathBuf;

use super::Builder;

/// Workers that boot wait while it is closed.
#[derive(Debug)]
pub(crate) struct BootGate(PathBuf);

impl BootGate {
    /// An open one for a server that is still to be started.
    pub(crate) fn open_for(builder: Builder) -> (Builder, Self) {
        let (builder, gate) = Self::closed_for(builder);
        gate.open();
        (builder, gate)
    }

    pub(crate) fn closed_for(builder: Builder) -> (Builder, Self) {
        let gate = Self(builder.dir().join("gate"));
        let path = gate.0.display().to_string();
        (builder.env("LAB_BOOT_GATE", &path), gate)
    }

    pub(crate) fn open(&self) {
        fs::write(&self.0, "").expect("a file");
    }

    pub(crate) fn close(&self) {
        fs::remove_file(&self.0).expect("removed");
    }
}
