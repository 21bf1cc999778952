"""The life of a service: prepared once, then started, paused, stopped and killed at will.

    (none) --up--> running --stop, kill--> ended --start, up--> running
                   running --pause--> paused --resume--> running

Subclasses define the requirements of a server, its start, and the check that it answers.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .failure import Failure
from .process import Process

# Generous, because only a failure waits this long.
START_SECONDS = 120
STOP_SECONDS = 60
LOG_TAIL_LINES = 25
LOOPBACK = "127.0.0.1"


def address():
    """Where the servers listen: at another address than loopback for tests that have hosts of their own."""
    return os.environ.get("OXICORN_SERVICES_ADDRESS") or LOOPBACK


class Service:
    """The base of all services; `name` is its name on the command line."""

    name = ""
    stop_signal = signal.SIGTERM
    # Stops a server whose data is removed next.
    end_signal = signal.SIGKILL
    port_names = ("port",)
    # Not started by `up` without a name.
    by_name_only = False

    def __init__(self, folder):
        self.folder = folder

    # Defined by subclasses.

    def missing(self):
        """The names of missing programs; empty if the service can start."""
        raise NotImplementedError

    def fetch(self):
        """Fetches into the cache what no package has."""

    def prepare(self):
        """Fills the empty home with data and configuration."""

    def spawn(self):
        """Starts the server and returns its Process."""
        raise NotImplementedError

    def answers(self):
        """True when a client gets an answer."""
        raise NotImplementedError

    def exports(self):
        """The variables with the addresses for clients."""
        raise NotImplementedError

    def sweep(self):
        """Removes what a killed server leaves outside its home."""

    def owner(self):
        """The user of the server, if it must not be the caller."""
        return None

    # Its state.

    @property
    def record(self):
        return self.folder.records().get(self.name)

    @property
    def home(self):
        return Path(self.record["home"])

    @property
    def log(self):
        return self.folder.path / f"{self.name}.log"

    def port(self, name="port"):
        return self.record["ports"][name]

    def process(self):
        """The last started process, which may have ended; `None` before the first start."""
        record = self.record
        return Process(record["pid"], record["birth"]) if record and record["pid"] else None

    def state(self):
        process = self.process()
        return process.state() if process else "ended"

    # Programs of subclasses run in the home, as the owner.

    def launch(self, argv):
        """Starts a program in the background."""
        return Process.spawn(argv, self.home, self.log, self.owner())

    def run(self, argv, text=""):
        """Runs a program, and reports its output only if it fails."""
        words = [str(word) for word in argv]
        switch = owner.switch() if (owner := self.owner()) else {}
        result = subprocess.run(
            words,
            cwd=self.home,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **switch,
        )
        if result.returncode != 0:
            raise Failure(f"{self.name}: `{' '.join(words)}` failed:\n{result.stdout.strip()}")

    # The commands.

    def settle(self):
        """Gives a new service its ports and an empty home. Call it for one service at a time."""
        if self._prepared():
            return
        self.down()
        record = {"home": str(self._make_home()), "ports": {}, "pid": 0, "birth": 0, "prepared": False}
        for name in self.port_names:
            record["ports"][name] = self.folder.free_port()
            self.folder.keep(self.name, record)

    def up(self):
        """Prepares the service if necessary, and starts it."""
        if not self._prepared():
            self.prepare()
            self._keep(prepared=True)
        self.start()

    def start(self):
        """Starts or resumes the prepared server, and waits until it answers."""
        begun = time.monotonic()
        if self.state() == "paused":
            self.resume()
        fresh = self.state() == "ended"
        if fresh:
            process = self.spawn()
            self._keep(pid=process.pid, birth=process.birth)
        self._await_answer(begun)
        if fresh:
            say(f"{self.name} answers on {address()}:{self.port()} after {time.monotonic() - begun:.1f} s")

    def stop(self):
        """Stops the server properly and waits for its end."""
        self._end_with(self.stop_signal, STOP_SECONDS)

    def kill(self):
        """SIGKILL to the server and all its processes."""
        process = self.process()
        if process and not process.kill(STOP_SECONDS):
            raise Failure(f"{self.name} (pid {process.pid}) outlives SIGKILL")

    def pause(self):
        """SIGSTOP: connections stay open, but get no answer."""
        if self.state() == "ended":
            raise Failure(f"{self.name} is not running: there is nothing to pause")
        self.process().pause()

    def resume(self):
        """SIGCONT after a pause."""
        if self.state() == "ended":
            raise Failure(f"{self.name} is not running: there is nothing to resume")
        self.process().resume()

    def down(self):
        """Stops the server and removes its data."""
        if not self.record:
            return
        self._end_with(self.end_signal, STOP_SECONDS)
        self.sweep()
        shutil.rmtree(self.home, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.folder.keep(self.name, None)

    def _prepared(self):
        return bool(self.record and self.record["prepared"])

    def _make_home(self):
        home = self.folder.path / self.name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700)
        owner = self.owner()
        if owner:
            owner.give(home)
            if not owner.reaches(home):
                # A folder above is closed to the other user, such as /root.
                home.rmdir()
                home = Path(tempfile.mkdtemp(prefix=f"oxicorn-{self.name}-", dir="/tmp"))
                owner.give(home)
        return home

    def _keep(self, **changes):
        self.folder.keep(self.name, {**self.record, **changes})

    def _await_answer(self, begun):
        while not self.answers():
            if self.state() == "ended":
                raise Failure(f"{self.name} ended before it answered{self._log_tail()}")
            if time.monotonic() > begun + START_SECONDS:
                raise Failure(f"{self.name} does not answer after {START_SECONDS} s{self._log_tail()}")
            time.sleep(0.05)

    def _end_with(self, number, seconds):
        process = self.process()
        if not process:
            return
        process.resume()
        process.signal(number)
        if not process.wait(seconds):
            say(f"{self.name} ignores {signal.Signals(number).name} for {seconds} s and is killed")
            self.kill()

    def _log_tail(self):
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except FileNotFoundError:
            lines = []
        return f"; the end of {self.log}:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""


def say(message):
    """Prints progress to standard error; standard output is for `env` and `status`."""
    print(message, file=sys.stderr, flush=True)
