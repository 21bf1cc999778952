"""One oxicorn among several: the `lab` of the integration tests, which says what it has been sent, or a Python application."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# Tests of this folder find it here.
from client_threads import ClientThreads  # noqa: F401
from prometheus_test import ROOT, until

sys.path.insert(0, str(ROOT / "scripts"))

from services_lib.folder import Folder

BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
# Generous, because only a failure waits this long, in seconds.
LONG = 120


def open_folder(name):
    """A temporary folder that a program of another user may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"oxicorn-etc-{name}-"))
    folder.chmod(0o755)
    return folder


def free_ports(count):
    """So many different ones."""
    found, folder = [], Folder(tempfile.gettempdir())
    while len(found) < count:
        if (port := folder.free_port()) not in found:
            found.append(port)
    return found


def python_application():
    """The command line of the wheel in the first environment of the Python tests, which is made if it is not there."""
    told = subprocess.run([ROOT / "scripts/python-env"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return (Path(told.split()[0]) / "bin/oxicorn", "--pythonpath", Path(__file__).resolve().parent, "application:application")


def fetched(action, tries=3):
    """What `action` returns, which asks a registry or a mirror: those may be away for a moment."""
    for last in (*[False] * (tries - 1), True):
        try:
            return action()
        except (AssertionError, subprocess.SubprocessError) as error:
            if last:
                raise
            print(f"once more: {str(error)[-500:]}", file=sys.stderr)


class Instance:
    """`unix`: it listens on a Unix socket. A long drain_delay: a second TERM ends it when the balancer has noticed the first."""

    def __init__(self, unix=False, port=None, flags=(), log="log", host="127.0.0.1", program=(BUILT / "examples/lab",)):
        self.folder = open_folder("instance")
        self.port = None if unix else port or free_ports(1)[0]
        self.address = f"unix:{self.folder}/app.sock" if unix else f"{host}:{self.port}"
        self.program, self.flags, self.process, self.log_file = program, flags, None, self.folder / log

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)
            self.start()
            stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- {self.address}\n{self.log()}", file=sys.stderr)
        self.end()
        shutil.rmtree(self.folder)

    def start(self):
        """And waits until all of its workers are ready."""
        serving = self.log().count("serves with 2 workers")
        command = [
            *self.program, "--bind", self.address, "--workers", "2", "--threads", "2", "--health-path", "/health",
            "--drain-delay", "3600", "--pid", "pid", "--control-socket", self.folder / "control", "--error-logfile", self.log_file,
            *self.flags,
        ]
        self.process = subprocess.Popen(command, cwd=self.folder, start_new_session=True)
        until(f"{self.address} serves", lambda: self.log().count("serves with 2 workers") > serving, LONG)

    def end(self):
        """Whatever is left of it."""
        if self.process:
            # A new master of an upgrade is in the same process group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self):
        return self.log_file.read_text() if self.log_file.exists() else ""

    def pid(self):
        return int((self.folder / "pid").read_text())

    def ctl(self, *words):
        """What an operator types."""
        command = [BUILT / "oxicorn", "ctl", "--socket", self.folder / "control", "--timeout", str(LONG), *words]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout

    def reload(self):
        self.ctl("reload", "--wait")

    def upgrade(self):
        """Another master in its place."""
        old = self.pid()
        self.ctl("upgrade", "--wait")
        os.kill(old, signal.SIGTERM)
        until("the promotion", lambda: "Master has been promoted" in self.log(), LONG)
        assert self.process.wait(LONG) == 0, self.log()

    def tell_to_end(self):
        """Its health checks fail from now on."""
        os.kill(self.pid(), signal.SIGTERM)
        until("the delay", lambda: "Health checks fail from now on" in self.log(), LONG)

    def drain(self):
        os.kill(self.pid(), signal.SIGTERM)
        assert self.process.wait(LONG) == 0, self.log()

    def kill(self):
        """As if the machine were gone: its workers die with the master."""
        os.kill(self.pid(), signal.SIGKILL)
        self.process.wait(LONG)

    def workers(self):
        """The pids of all that it has had."""
        return {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", self.log())}

    def idle_connections(self):
        return int(re.search(r"^connections: (\d+) idle", self.ctl("status"), re.MULTILINE)[1])
