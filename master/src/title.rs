//! The title of a process in ps and top: `oxicorn: master [NAME]`.

use std::ffi::CString;

use nix::sys::prctl;

use crate::host::{Host, ShowTitle};
use crate::sys::ArgumentArea;

/// The title of this process; a forked child has its own copy.
pub(crate) struct Title {
    show: Option<ShowTitle>,
    name: String,
}

impl Title {
    /// Must be made once, after the arguments have been copied.
    pub(crate) fn new(name: &str, host: &dyn Host) -> Self {
        Self {
            show: host.title().or_else(of_arguments),
            name: name.to_owned(),
        }
    }

    pub(crate) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Shows this process as a `role`: master, worker or runner. If that is not possible, the command line stays.
    pub(crate) fn show(&mut self, role: &str) {
        if let Some(show) = &mut self.show {
            show(&format!("oxicorn: {role} [{}]", self.name));
        }
        // The thread's name, of which the kernel keeps 15 bytes, is what `top` shows.
        if let Ok(short) = CString::new(format!("oxicorn-{role}")) {
            let _ = prctl::set_name(&short);
        }
    }
}

/// Written over the arguments.
fn of_arguments() -> Option<ShowTitle> {
    let mut area = ArgumentArea::take()?;
    Some(Box::new(move |title| area.write(title)))
}
