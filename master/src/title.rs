//! What ps and top show for a process: `oxicorn: master [NAME]`.

use std::ffi::CString;

use nix::sys::prctl;

use crate::sys::ArgumentArea;

/// The title of this process; a forked child has its own copy.
#[derive(Debug)]
pub(crate) struct Title {
    area: Option<ArgumentArea>,
    name: String,
}

impl Title {
    /// To be made once, after the arguments have been copied.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            area: ArgumentArea::take(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Shows this process as a `role`: master, worker or runner. Where that cannot be done, the
    /// command line stays.
    pub(crate) fn show(&mut self, role: &str) {
        if let Some(area) = &mut self.area {
            area.write(&format!("oxicorn: {role} [{}]", self.name));
        }
        // The thread's name, of which the kernel keeps 15 bytes, is what `top` shows.
        if let Ok(short) = CString::new(format!("oxicorn-{role}")) {
            let _ = prctl::set_name(&short);
        }
    }
}
