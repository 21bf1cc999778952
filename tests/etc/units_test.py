#!/usr/bin/env python3
"""The units of etc/ as they are: verified, rated, and booted by a systemd that is process 1 of namespaces of its own.

    cargo build --workspace --examples --bins && python3 -B tests/etc/units_test.py

tests/systemd_test.py has what the units say about a reload, a stop, an upgrade and the watchdog.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from instance import BUILT, LONG, ROOT, open_folder, until
from sandbox import allowed
from systemd_test import OLDER, SYSTEMD, Groups

# What `systemd-analyze security` gives at most: 0 is nothing that a service could do, 10 anything.
MOST_EXPOSED = {"oxicorn.service": 2.0, "oxicorn-wsgi.service": 2.5}
SERVES = "Generation 1: 4 of 4 workers ready"
# $1: a folder with what is mounted. Nothing that systemd and the service write is this machine's.
BOOT = """
mount --make-rprivate /
ip link set lo up
mount -t proc proc /proc
for path in /run /var/lib /var/log /etc/systemd/system /usr/local/bin /srv; do mount -t tmpfs -o mode=755 none $path; done
cp "$1/oxicorn" /usr/local/bin/
cp "$1"/*.service "$1"/*.target /etc/systemd/system/
mkdir -p /srv/app/venv/bin && cp "$1/oxicorn" /srv/app/venv/bin/
mount -t tmpfs -o mode=1777 none /tmp
echo "systemd begins"
exec env container=oxicorn-test /lib/systemd/systemd --system --unit=boot.target --log-target=console --show-status=0
"""
TARGET = "[Unit]\nDefaultDependencies=no\n"


def version():
    return int(subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1])


class GroupsOfAll(Groups):
    """A control group below our own in every hierarchy: systemd makes its own in each that it sees."""

    def __init__(self, name):
        self.paths = []
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kind, own = line.split(":", 2)
            for folder in (kind.removeprefix("name="), *(("unified",) if not kind else ())):
                place = Path("/sys/fs/cgroup", folder, own.lstrip("/"))
                if (place / "cgroup.procs").exists():
                    with contextlib.suppress(OSError):
                        (place / name).mkdir()
                        self.paths.append(place / name)
                    break


@unittest.skipUnless(shutil.which("systemd-analyze"), "takes systemd")
class Checked(unittest.TestCase):
    def test_systemd_finds_nothing_wrong(self):
        folder = open_folder("units")
        self.addCleanup(shutil.rmtree, folder)
        for unit in MOST_EXPOSED:
            text = (ROOT / "etc" / unit).read_text()
            # Where it is not, here.
            (folder / unit).write_text(re.sub(r"(?<=^ExecStart=)\S+/oxicorn", str(BUILT / "oxicorn"), text, flags=re.MULTILINE))
            told = subprocess.run(["systemd-analyze", "verify", folder / unit], capture_output=True, text=True, check=False)
            lines = [line for line in told.stderr.splitlines() if unit in line]
            # The units say so themselves.
            known = "Failed to parse service type, ignoring: notify-reload"
            self.assertEqual([line for line in lines if version() >= 253 or not line.endswith(known)], [])

    def test_the_services_can_do_little_else(self):
        for unit, most in MOST_EXPOSED.items():
            with self.subTest(unit):
                command = ["systemd-analyze", "security", "--offline=true", "--no-pager", ROOT / "etc" / unit]
                told = subprocess.run(command, capture_output=True, text=True, check=False)
                level = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)[1])
                print(f"{unit}: exposure {level}", file=sys.stderr)
                self.assertLessEqual(level, most, told.stdout)


@unittest.skipUnless(SYSTEMD.exists() and allowed(), "takes root, systemd and namespaces")
class Booted(unittest.TestCase):
    def setUp(self):
        self.folder = open_folder("boot")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(BUILT / "oxicorn", self.folder / "oxicorn")
        (self.folder / "boot.target").write_text(TARGET)
        for unit in MOST_EXPOSED:
            text = (ROOT / "etc" / unit).read_text()
            if version() < 253:
                text = text.replace("[Service]\n", f"[Service]\n{OLDER}\n").replace("Type=notify-reload\n", "")
            # The binary knows no Python.
            (self.folder / unit).write_text(text.replace("wsgi:application", "native:hello"))
        groups = GroupsOfAll(f"oxicorn-test-{os.getpid()}")
        # What dies may take a moment to be gone.
        self.addCleanup(lambda: until("no group of ours", lambda: groups.remove() or not any(it.exists() for it in groups.paths), LONG))
        unshare = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        with (self.folder / "log").open("wb") as log:
            self.manager = subprocess.Popen(
                [*unshare, "sh", "-ec", BOOT, "sh", self.folder], stdout=log, stderr=log, start_new_session=True, preexec_fn=groups.enter,
            )
        self.addCleanup(self.end)
        try:
            until("systemd", lambda: self.systemctl("is-system-running", check=False) in ("running", "degraded"), LONG)
        except AssertionError:
            log = (self.folder / "log").read_text()
            self.assertIn("systemd begins", log)
            self.skipTest(f"systemd does not boot here: {log[-500:]}")

    def end(self):
        self.manager.kill()
        self.manager.wait()

    def systemctl(self, *words, check=True):
        told = self.inside("systemctl", *words)
        if check and told.returncode:
            raise AssertionError(f"{words}: {told.stderr}\n{(self.folder / 'log').read_text()[-3000:]}")
        return told.stdout.strip()

    def inside(self, *words):
        with contextlib.suppress(OSError, ValueError):
            children = f"/proc/{self.manager.pid}/task/{self.manager.pid}/children"
            with open(children) as file:
                first = str(int(file.read()))
            enter = ["nsenter", "--target", first, "--mount", "--pid", "--net"]
            return subprocess.run([*enter, *words], capture_output=True, text=True, check=False, timeout=LONG)
        return subprocess.CompletedProcess(words, 1, "", "no manager")

    def show(self, unit, name):
        return self.systemctl("show", unit, f"--property={name}", "--value")

    def test_the_task_service_serves_reloads_and_stops_within_its_walls(self):
        self.runs("oxicorn.service", ["http://127.0.0.1:5002/api/v1/eventstreammonitor/tasks"], "/run/oxicorn/control")
        # DynamicUser and StateDirectory.
        self.assertEqual(self.inside("ls", "/var/lib/private/oxicorn").stdout.split()[:1], ["oxicorn.db"])

    def test_a_python_application_s_unit_does(self):
        socket = "/run/oxicorn-wsgi/app.sock"
        self.runs("oxicorn-wsgi.service", ["--unix-socket", socket, "http://localhost/"], "/run/oxicorn-wsgi/control")

    def runs(self, unit, request, control):
        self.systemctl("start", unit)
        until(SERVES, lambda: self.show(unit, "StatusText") == SERVES, LONG)
        self.assertEqual(self.inside("curl", "--silent", "--fail", *request).returncode, 0)
        main = int(self.show(unit, "MainPID"))
        status = self.inside("cat", f"/proc/{main}/status").stdout
        self.assertNotRegex(status, r"(?m)^Uid:\t0\t")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\t1$")
        # seccomp(2): a filter.
        self.assertRegex(status, r"(?m)^Seccomp:\t2$")
        self.assertRegex(status, r"(?m)^CapBnd:\t0+$")
        told = self.inside("/usr/local/bin/oxicorn", "ctl", "--socket", control, "status")
        self.assertEqual(told.returncode, 0, told.stderr)
        stacks = self.inside("/usr/local/bin/oxicorn", "ctl", "--socket", control, "stacks")
        self.assertEqual(stacks.returncode, 0, stacks.stderr)
        self.systemctl("reload", unit)
        until("the reload", lambda: self.show(unit, "StatusText").startswith("Generation 2: 4 of 4"), LONG)
        self.systemctl("stop", unit)
        self.assertEqual((self.show(unit, "ActiveState"), self.show(unit, "Result")), ("inactive", "success"))


if __name__ == "__main__":
    unittest.main()
