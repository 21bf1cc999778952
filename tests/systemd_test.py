#!/usr/bin/env python3
"""What the units of etc/ say, under a real systemd: a user manager in a namespace of mounts and a control group of its own.

    cargo build --workspace --examples --bins && python3 -B tests/systemd_test.py
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from prometheus_test import ROOT, until

BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
SYSTEMD = Path("/lib/systemd/systemd")
# The namespace is there already.
INSIDE = "INSIDE_SYSTEMD_TEST"
# The lines of a unit that do not depend on users and sandboxes, which a manager of root's own cannot have.
KEPT = re.compile(r"^(Type|WatchdogSec|ExecStop|KillMode|Restart|RestartSec|RestartPreventExitStatus)=")
# What the unit says to systemd before 253.
OLDER = "ExecReload=/bin/kill -HUP $MAINPID"


class Groups:
    """A control group in each hierarchy that systemd may use."""

    def __init__(self, name):
        places = [Path("/sys/fs/cgroup") / it for it in ("systemd", "unified", "")]
        self.paths = []
        for place in places:
            if (place / "cgroup.procs").exists():
                with contextlib.suppress(OSError):
                    (place / name).mkdir()
                    self.paths.append(place / name)

    def enter(self):
        """For the child of a fork."""
        for path in self.paths:
            with contextlib.suppress(OSError):
                (path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        for path in self.paths:
            for group in sorted(path.rglob("*/"), key=lambda it: -len(it.parts)):
                with contextlib.suppress(OSError):
                    group.rmdir()
            with contextlib.suppress(OSError):
                path.rmdir()


@unittest.skipUnless(INSIDE in os.environ and SYSTEMD.exists(), "takes root, and systemd")
class SystemdTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-systemd-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.units = self.folder / ".config/systemd/user"
        self.units.mkdir(parents=True)
        runtime = Path("/run/user/0")
        self.env = {**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(runtime)}
        # sd_booted(3): otherwise the manager does not start.
        for path in (Path("/run/systemd/system"), runtime):
            path.mkdir(parents=True, exist_ok=True)
        groups = Groups(f"oxicorn-test-{os.getpid()}")
        self.addCleanup(groups.remove)
        manager = subprocess.Popen([SYSTEMD, "--user", "--log-target=console"], env=self.env, preexec_fn=groups.enter)
        self.addCleanup(manager.wait)
        self.addCleanup(manager.terminate)
        self.addCleanup(self.systemctl, "stop", "oxicorn", check=False)
        try:
            until("the manager", lambda: self.systemctl("is-system-running", check=False) in ("running", "degraded"), 30)
        except AssertionError:
            self.skipTest("systemd does not run here")

    def systemctl(self, *words, check=True):
        command = ["systemctl", "--user", *words]
        errors = None if check else subprocess.DEVNULL
        return subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=errors, text=True, check=check).stdout.strip()

    def show(self, name):
        return self.systemctl("show", "oxicorn", f"--property={name}", "--value")

    def pid(self):
        return int(self.show("MainPID"))

    def log(self):
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def start(self, unit, *flags):
        """Starts a server by the lines of a shipped unit."""
        lines = [line for line in (ROOT / "etc" / unit).read_text().splitlines() if KEPT.match(line)]
        version = int(self.systemctl("--version").split()[1])
        if version < 253:
            lines.append(OLDER)
        words = [BUILT / "examples/lab", "--bind", "unix:app.sock", "--workers", "2", "--error-logfile", "log", *flags]
        lines += [f"WorkingDirectory={self.folder}", "TimeoutStopSec=2", f"ExecStart={' '.join(map(str, words))}"]
        (self.units / "oxicorn.service").write_text("\n".join(["[Service]", *lines]))
        self.systemctl("daemon-reload")
        self.systemctl("start", "oxicorn")
        self.assertEqual(self.show("ActiveState"), "active")
        self.assert_status("Generation 1: 2 of 2 workers ready")

    def assert_status(self, text):
        until(text, lambda: self.show("StatusText") == text)

    def test_a_reload_changes_the_generation(self):
        self.start("oxicorn.service")
        self.systemctl("reload", "oxicorn")
        self.assert_status("Generation 2: 2 of 2 workers ready")
        self.assertEqual(self.show("ActiveState"), "active")

    def test_a_stop_has_the_time_that_it_needs(self):
        # Longer than TimeoutStopSec.
        self.start("oxicorn-wsgi.service", "--drain-delay", "5", "--graceful-timeout", "20")
        self.systemctl("stop", "oxicorn")
        self.assertEqual((self.show("ActiveState"), self.show("Result")), ("inactive", "success"))
        self.assertEqual(self.log().count("Worker exiting"), 2, self.log())
        self.assertIn("Shutting down: Master", self.log())

    def test_the_new_master_of_an_upgrade_is_watched_and_stops_like_the_old_one(self):
        for unit in ("oxicorn.service", "oxicorn-wsgi.service"):
            with self.subTest(unit):
                self.start(unit, "--drain-delay", "1")
                old, heard = self.pid(), int(self.show("WatchdogTimestampMonotonic"))
                os.kill(old, signal.SIGUSR2)
                until("the new master serves", lambda: self.log().count("serves with 2 workers") == 2)
                os.kill(old, signal.SIGTERM)
                until("the promotion", lambda: "Master has been promoted" in self.log())
                until("its own watchdog", lambda heard=heard: int(self.show("WatchdogTimestampMonotonic")) > heard)
                self.assertNotIn(self.pid(), (0, old))
                self.assert_status("Generation 1: 2 of 2 workers ready")
                self.systemctl("stop", "oxicorn")
                self.assertEqual((self.show("ActiveState"), self.show("Result")), ("inactive", "success"))
                # Those of the old master, and those of the new one.
                self.assertEqual(self.log().count("Worker exiting"), 4, self.log())
                (self.folder / "log").unlink()

    def test_a_master_that_stands_still_is_replaced(self):
        self.start("oxicorn.service")
        old = self.pid()
        os.kill(old, signal.SIGSTOP)
        until("another one", lambda: self.pid() not in (0, old) and self.show("ActiveState") == "active", 120)
        self.assertEqual(self.show("NRestarts"), "1")


def enter():
    """Goes on in a namespace with a /run of its own, where root may make one."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]
    os.execvpe("unshare", [*command, sys.executable, "-B", *sys.argv], {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter()
    unittest.main()
