//! Keeps the control socket where the settings want it, through reloads, upgrades and whatever happens to its file.
//!
//! The server serves without it. A place that cannot be had is tried again from time to time: another server may have
//! ended, a directory may have been made. The same check finds that the file is gone, as after a clean-up of `/tmp`.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use oxicorn_common::address::Address;
use oxicorn_common::{DirectoryEntry, Settings};

use super::place::{default_control_socket, place_in};
use super::socket::{ControlPlace, ControlSocket};
use crate::bound_socket::clear_the_way;

/// The interval of the check.
const CHECK_EVERY: Duration = Duration::from_secs(10);
const ELSEWHERE: &str = "control_socket names another place";

#[derive(Debug)]
pub(crate) struct ControlListener {
    /// As the environment of the start says it.
    default: Option<PathBuf>,
    /// `None` if no control socket is wanted.
    wanted: Option<ControlPlace>,
    /// The settings name the place: then it should work.
    is_named: bool,
    /// The path is one that the server serves requests at.
    is_bound: bool,
    socket: Option<ControlSocket>,
    check_at: Option<Instant>,
    /// The problem that was logged last.
    problem: Option<String>,
}

impl ControlListener {
    pub(crate) fn new() -> Self {
        Self {
            default: default_control_socket(),
            wanted: None,
            is_named: false,
            is_bound: false,
            socket: None,
            check_at: None,
            problem: None,
        }
    }

    pub(crate) fn socket(&self) -> Option<&ControlSocket> {
        self.socket.as_ref()
    }

    /// Goes where `settings` want it. `suffix` distinguishes the file of a new master from that of the old one.
    pub(crate) fn configure(&mut self, settings: &Settings, suffix: &str, now: Instant) {
        let control = &settings.control;
        let directory = std::env::current_dir().unwrap_or_default();
        let named = place_in(settings, &directory);
        self.is_named = named.is_some();
        let path = named.or_else(|| self.default.clone()).map(|path| {
            let mut path = path.into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        });
        self.is_bound = settings.bind.iter().any(|address| match address {
            Address::Unix(bound) => Some(directory.join(bound)) == path,
            _ => false,
        });
        let place = |path| ControlPlace {
            path,
            mode: control.mode,
            workers: settings.user,
        };
        self.wanted = path.filter(|_| !control.disabled).map(place);
        if control.disabled {
            debug!("Control socket disabled");
        }
        self.problem = None;
        self.check(now);
    }

    /// When [`ControlListener::check`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.check_at
    }

    pub(crate) fn check_if_due(&mut self, now: Instant) {
        if self.check_at.is_some_and(|at| at <= now) {
            self.check(now);
        }
    }

    /// Closes it and removes the file.
    pub(crate) fn close(&mut self) {
        (self.wanted, self.check_at) = (None, None);
        if let Some(socket) = self.socket.take() {
            socket.remove();
        }
    }

    /// Removes a socket on which nobody answers.
    pub(crate) fn remove_left(&self, suffix: &str) {
        if let Some(wanted) = &self.wanted {
            let mut path = wanted.path.clone().into_os_string();
            path.push(suffix);
            let entry = DirectoryEntry::find(path.as_ref(), wanted.workers);
            // What cannot be removed prevents nothing.
            let _ = entry.and_then(|entry| clear_the_way(&entry, path.as_ref()));
        }
    }

    fn check(&mut self, now: Instant) {
        let Some(wanted) = self.wanted.clone() else {
            return self.close();
        };
        self.check_at = Some(now + CHECK_EVERY);
        let is_right = |socket: &ControlSocket| *socket.place() == wanted;
        if self.socket.as_ref().is_some_and(|it| !it.is_in_place()) {
            info!("Control socket {} is gone", self.path());
            self.socket = None;
        }
        if self.socket.as_ref().is_some_and(is_right) {
            return;
        }
        if let Err(error) = self.take(&wanted) {
            self.explain(&wanted, &error);
        }
    }

    /// Listens at another place, and only then leaves the one before.
    fn take(&mut self, wanted: &ControlPlace) -> io::Result<()> {
        let can_move = |socket: &&mut ControlSocket| {
            let place = socket.place();
            place.mode == wanted.mode && place.workers == wanted.workers
        };
        let moved = self.socket.as_mut().filter(can_move);
        let is_moved = moved.is_some_and(|socket| socket.move_to(&wanted.path).is_ok());
        if !is_moved {
            // A file of ours at the same path, with other permissions, is in the way.
            if self
                .socket
                .as_ref()
                .is_some_and(|it| it.path() == wanted.path)
            {
                self.remove_socket();
            }
            let socket = ControlSocket::bind(wanted)?;
            self.remove_socket();
            self.socket = Some(socket);
        }
        self.problem = None;
        info!("Control socket listening at {}", wanted.path.display());
        Ok(())
    }

    fn remove_socket(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.remove();
        }
    }

    /// Says once why there is none.
    fn explain(&mut self, wanted: &ControlPlace, error: &io::Error) {
        let path = wanted.path.display();
        let is_taken = error.kind() == io::ErrorKind::AddrInUse;
        let text = match is_taken {
            true if self.is_bound => {
                format!("No control socket at {path}: bind has that path. {ELSEWHERE}")
            }
            true => format!(
                "Control socket {path} is another server's: whoever uses it controls that one, and this one has \
                 none until that ends. {ELSEWHERE}"
            ),
            false => format!(
                "No control socket at {path}: {error}. {ELSEWHERE}, and control_socket_disable none"
            ),
        };
        if self.problem.as_ref() == Some(&text) {
            return;
        }
        match self.is_named || is_taken {
            true => warn!("{text}"),
            // Nobody has asked for it, and nobody will find it.
            false => debug!("{text}"),
        }
        self.problem = Some(text);
    }

    fn path(&self) -> String {
        let socket = self.socket.as_ref();
        socket.map_or_else(String::new, |it| it.path().display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(path: &std::path::Path, disabled: bool) -> Settings {
        let mut settings = Settings::default();
        settings.control.socket = Some(path.to_owned());
        settings.control.disabled = disabled;
        settings
    }

    fn answers(path: &std::path::Path) -> bool {
        UnixStream::connect(path).is_ok()
    }

    #[test]
    fn it_follows_the_settings_and_comes_back_when_its_file_is_gone() {
        let name = format!("oxicorn-listener-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let (first, second) = (root.join("one/a.ctl"), root.join("two/b.ctl"));
        let start = Instant::now();
        let mut listener = ControlListener::new();
        listener.configure(&settings(&first, false), "", start);
        assert!(answers(&first));
        listener.configure(&settings(&second, false), "", start);
        assert!(answers(&second) && !first.exists());
        listener.configure(&settings(&second, false), ".2", start);
        let suffixed = root.join("two/b.ctl.2");
        assert!(answers(&suffixed) && !second.exists());

        std::fs::remove_file(&suffixed).expect("removed by somebody");
        listener.check_if_due(start + CHECK_EVERY / 2);
        assert!(!suffixed.exists(), "not all the time");
        listener.check_if_due(start + CHECK_EVERY);
        assert!(answers(&suffixed));

        let mut other = ControlListener::new();
        other.configure(&settings(&suffixed, false), "", start);
        assert!(other.socket().is_none(), "it is the first one's");
        listener.configure(&settings(&suffixed, true), "", start);
        assert!(!suffixed.exists() && listener.deadline().is_none());
        other.check_if_due(start + CHECK_EVERY);
        assert!(answers(&suffixed), "the other has waited for it");
        other.close();
        assert!(!suffixed.exists());
        std::fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn a_change_of_permissions_is_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("oxicorn-mode-{}.ctl", std::process::id()));
        let mut listener = ControlListener::new();
        let mut settings = settings(&path, false);
        for mode in [0o600, 0o660] {
            settings.control.mode = mode;
            listener.configure(&settings, "", Instant::now());
            let found = path.metadata().expect("a file").permissions().mode();
            assert_eq!(found & 0o777, mode);
            assert!(answers(&path));
        }
        listener.close();
        assert!(!path.exists());
    }
}
