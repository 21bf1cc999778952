"""Hosts for tests: network namespaces that reach each other only through this one, each with a server and a clock of its own.

    this namespace: PostgreSQL, Redis, Kafka at 10.77.0.1; the clients
      |-- veth 10.77.1.1 --- 10.77.1.2, host 1: oxicorn
      |-- veth 10.77.2.1 --- 10.77.2.2, host 2: oxicorn
      ..

A namespace lives as long as the process that holds it, and a host's processes have the kernel kill them with this one. So nothing is left
behind, whatever happens to the test.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from prometheus_test import ROOT, until

sys.path.insert(0, str(ROOT / "scripts"))

from services_lib.folder import Folder

BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
SERVICES_ADDRESS = "10.77.0.1"
INSIDE = "INSIDE_NETWORK_HOSTS"
DYING = ["setpriv", "--pdeathsig", "KILL"]
# Only a failure waits so long.
LONG = 180
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, timeout=60)


def enter():
    """Puts this test into a network namespace of its own; false where the machine has none."""
    if INSIDE in os.environ:
        return os.environ[INSIDE] == "yes"
    alone = ["unshare", "--net"]
    allowed = subprocess.run([*alone, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0
    if allowed:
        script = f'ip link set lo up && ip address add {SERVICES_ADDRESS}/32 dev lo && exec "$@"'
        words = [*alone, "sh", "-c", script, "sh", sys.executable, "-B", *sys.argv]
        os.execvpe(words[0], words, {**os.environ, INSIDE: "yes"})
    return False


class Host:
    """A host with one server. Without namespaces it is an address of the loopback interface, which cannot be cut off."""

    def __init__(self, number, folder, environment, clock, apart, more=()):
        self.more = more
        self.number, self.folder, self.apart = number, folder / f"host{number}", apart
        self.folder.mkdir()
        self.address = f"10.77.{number}.2" if apart else f"127.0.0.{10 + number}"
        # A namespace has all ports for itself.
        self.port = 8000 if apart else Folder(self.folder).free_port()
        self.is_cut, self.was_cut = False, False
        self.process = None
        self.set_clock(clock)
        self.environment = {
            **environment,
            "HOME": str(self.folder),
            "LD_PRELOAD": str(FAKETIME),
            # The file is read again each second. Deadlines and pauses are as long as ever.
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.inside = self.make_namespace() if apart else []

    def make_namespace(self):
        self.holder = subprocess.Popen([*DYING, "unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        until("a namespace", lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, LONG)
        inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        near, far, gate = f"host{self.number}", f"far{self.number}", f"10.77.{self.number}.1"
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.holder.pid)
        ip("address", "add", f"{gate}/24", "dev", near)
        ip("link", "set", near, "up")
        for words in (
            ("link", "set", "lo", "up"), ("address", "add", f"{self.address}/24", "dev", far), ("link", "set", far, "up"),
            ("route", "add", "default", "via", gate),
        ):
            subprocess.run([*inside, "ip", *words], check=True, timeout=60)
        return inside

    def set_clock(self, offset):
        """The clock of the host from now on, such as `-1h`."""
        fresh = self.folder / "clock.new"
        fresh.write_text(offset + "\n")
        fresh.replace(self.folder / "clock")

    def cut_off(self):
        self.is_cut = self.was_cut = True
        ip("link", "set", f"host{self.number}", "down")

    def reconnect(self):
        ip("link", "set", f"host{self.number}", "up")
        self.is_cut = False

    # Its server.

    def start(self):
        flags = [
            "--bind", f"{self.address}:{self.port}", "--workers", "2", "--threads", "2", "--runners", "1", "--pid", "oxicorn.pid",
            "--control-socket", self.folder / "control", "--error-logfile", "log", "--timeout", LONG, "--graceful-timeout", LONG,
            # On a slow machine a process would go on without Redis, and others could briefly return old values.
            "--redis-timeout", "10",
        ]
        words = [*DYING, *self.inside, BUILT / "oxicorn", *flags, *self.more, "native:eventstreammonitor"]
        self.process = subprocess.Popen([str(it) for it in words], cwd=self.folder, env=self.environment)
        until(f"host {self.number} serves", self.is_ready, LONG)

    def stop(self):
        """As for a deployment: it has to end properly."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LONG) == 0, self.log()

    def upgrade(self):
        """SIGUSR2, then the end of the old master."""
        old, process = self.pid(), self.process
        os.kill(old, signal.SIGUSR2)
        until("a new master", lambda: self.pid("oxicorn.pid.2") and self.control("status", socket="control.2"), LONG)
        until("its workers", lambda: self.all_ready("control.2"), LONG)
        os.kill(old, signal.SIGTERM)
        assert process.wait(LONG) == 0, self.log()
        until("its promotion", lambda: self.pid() not in (0, old), LONG)
        self.process = Adopted(self.pid())
        until("its control socket", self.is_ready, LONG)

    def reload(self):
        subprocess.run(self.command("reload", "--wait", "--timeout", str(LONG)), check=True, timeout=LONG + 30)

    def pid(self, name="oxicorn.pid"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.folder / name).read_text())
        return 0

    def command(self, *words, socket="control"):
        return [str(BUILT / "oxicorn"), "ctl", "--socket", str(self.folder / socket), *words]

    def control(self, *words, socket="control"):
        """The answer, or None while there is none."""
        result = subprocess.run(self.command("--json", *words, socket=socket), capture_output=True, text=True, timeout=LONG, check=False)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def all_ready(self, socket="control"):
        status = self.control("status", socket=socket)
        states = [it["state"] for it in status["workers"] if it["kind"] in ("worker", "runner")] if status else []
        return states == ["ready"] * 3

    def is_ready(self):
        """Workers and runner are there, and the database is reached."""
        if not self.all_ready():
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/ready", seconds=5)[0] == 200
        return False

    def ask(self, method, path, body=None, seconds=LONG, fields=None):
        """(status, body) of a request on a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection(self.address, self.port, timeout=seconds)) as client:
            client.connect()
            text = None if body is None else json.dumps(body)
            fields = {**(fields or {}), **({} if text is None else {"Content-Type": "application/json"})}
            client.request(method, path, text, fields)
            answer = client.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text

    def log(self):
        return (self.folder / "log").read_text()

    def errors(self):
        return re.findall(r"^.*\[(?:ERROR|CRITICAL)\].*$", self.log(), re.MULTILINE)

    def remove(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.apart:
            self.holder.kill()
            self.holder.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Adopted:
    """A process that another has started."""

    def __init__(self, pid):
        self.pid = pid

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def poll(self):
        try:
            return None if Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX" else 0
        except (FileNotFoundError, ProcessLookupError):
            return 0

    def wait(self, seconds):
        """0: its exit code is init's to know."""
        until("the end of the server", lambda: self.poll() is not None, seconds)
        return 0
