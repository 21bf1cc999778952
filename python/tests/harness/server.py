"""A server under test: the real command in a folder of its own, with logs in files, and checks at its end.

gunicorn and oxicorn get the same flags. The harness asks the kernel about the processes, so that it depends on the messages
of neither.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from . import processes
from .answer import Broken, Closed
from .client import Client
from .deadline import TIMEOUT, until
from .log import lines

TESTS = pathlib.Path(__file__).resolve().parent.parent
APPS = TESTS / "apps"
GUNICORN, OXICORN = "gunicorn", "oxicorn"
# Variables of the user that the servers would read.
THEIRS = re.compile(
    r"(OXICORN|GUNICORN|PYTHON|DJANGO|FLASK)_?.*|(WEB_CONCURRENCY|WORKERS|THREADS|PORT|BIND|LOG_LEVEL|MAX_REQUESTS.*|POOL_.*"
    r"|MAX_OVERFLOW|SCRIPT_NAME|NOTIFY_SOCKET|LISTEN_.*|XDG_.*)"
)


def environment_of(extra=None):
    """The environment of a server, without variables that would configure it."""
    kept = {key: value for key, value in os.environ.items() if not THEIRS.fullmatch(key)}
    # Gives sets the same order in both servers.
    fixed = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    return {**kept, **fixed, **(extra or {})}


def program(kind, python=None):
    """The command that starts a server, from the virtual environment of `python`, or of the tests.

    OXICORN_TESTS_STANDIN=gunicorn puts gunicorn in oxicorn's place: any difference is then a fault of the suite.
    """
    folder = pathlib.Path(python or sys.executable).parent
    return [str(folder / (os.environ.get("OXICORN_TESTS_STANDIN", kind) if kind == OXICORN else kind))]


class Server:
    """Starts at construction; use it as a context manager, or call `stop`.

    expects: patterns of errors that the log may have. under: a command that becomes the server's.
    """

    def __init__(self, kind, app, *args, env=None, expects=(), files=None, python=None, bind="127.0.0.1:0",
                 path=APPS, logs=True, ready=True, code=0, under=()):
        self.kind, self.expects, self.code = kind, list(expects), code
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-test-"))
        for name, text in (files or {}).items():
            (self.folder / name).write_text(text)
        self.error_log, self.access_log = self.folder / "error.log", self.folder / "access.log"
        self.unix = bind.removeprefix("unix:").replace("{folder}", str(self.folder)) if (bind or "").startswith("unix:") else None
        flags = []
        if bind:
            flags += ["--bind", bind.replace("{folder}", str(self.folder))]
        if logs:
            flags += ["--error-logfile", str(self.error_log), "--access-logfile", str(self.access_log)]
        flags += [argument.replace("{folder}", str(self.folder)) for argument in args]
        self.program = program(kind, python)
        self.command = [*under, *self.program, *flags, *([app] if app else [])]
        self.output = open(self.folder / "output", "wb")
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            env=environment_of({"PYTHONPATH": str(path), "HOME": str(self.folder), **(env or {})}), start_new_session=True,
        )
        self.stopped = False
        # Set by tests whose master leaves workers behind.
        self.orphans = False
        try:
            if bind is None or self.unix is None:
                self.address = until("a socket that listens", self._listens)[0]
            else:
                self.address = self.unix
                until("a unix socket", lambda: os.path.exists(self.unix) or self._ended())
            if ready:
                self.wait_ready()
        except BaseException:
            self._abandon()
            raise

    def _ended(self):
        assert self.process.poll() is None, f"the server has ended with {self.process.returncode}\n{self.story()}"

    def _listens(self):
        self._ended()
        return processes.listening(self.process.pid)

    def wait_ready(self, target="/ready"):
        """Waits until a worker answers, and until all do where the log tells: a test may end or starve one at once."""
        def answers():
            self._ended()
            with contextlib.suppress(OSError, Closed, Broken), self.connect() as client:
                return client.get(target)
        until("a worker that answers", answers)
        if not self.is_gunicorn and "Listening at:" in self.error_text():
            until("all workers", lambda: self._ended() or "Generation 1 serves" in self.error_text())

    @property
    def is_gunicorn(self):
        """True also if it stands in for oxicorn."""
        return self.program[0].endswith(GUNICORN)

    @property
    def pid(self):
        return self.process.pid

    def connect(self, seconds=TIMEOUT, tls=None):
        return Client(self.address, seconds, tls)

    def get(self, target, fields=""):
        with self.connect() as client:
            return client.get(target, f"Connection: close\r\n{fields}")

    def signal(self, number):
        self.process.send_signal(number)

    def workers(self):
        """Pids of the workers: children of the master that are neither mold nor runner."""
        return [
            pid for pid in processes.children(self.pid)
            if not re.search(r"oxicorn: (mold|runner|admin)", processes.title(pid))
        ]

    def tree(self):
        return [self.pid, *processes.descendants(self.pid)]

    def errors(self):
        """The error log as records."""
        return lines(self.error_text())

    def error_text(self):
        with contextlib.suppress(FileNotFoundError):
            return self.error_log.read_text(errors="replace")
        return ""

    def access_lines(self):
        with contextlib.suppress(FileNotFoundError):
            return self.access_log.read_text(errors="replace").splitlines()
        return []

    def wait_exit(self, seconds=60):
        """The exit code, when the server has ended. A worker of gunicorn's that boots may lose the signal: it is killed after 30 s."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server has not ended after {seconds} s\n{self.story()}") from None
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            print(self.story(), file=sys.stderr)
            self._abandon()

    def stop(self):
        """Ends the server and checks the exit code, that no process is left, and that the log has no unexpected error."""
        if self.stopped:
            return
        story = ""
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            code = self.wait_exit()
            story = self.story()
            assert code == self.code, f"exit code {code}, not {self.code}\n{story}"
            if not self.orphans:
                until("no process left", lambda: not processes.of_session(self.pid))
            self._check_log(story)
        finally:
            self._abandon()

    def _check_log(self, story):
        for line in self.errors():
            text = "\n".join([line.message, *line.more])
            if line.level in ("ERROR", "CRITICAL") and not any(re.search(pattern, text) for pattern in self.expects):
                raise AssertionError(f"unexpected in the error log: {text}\n{story}")

    def story(self):
        """Command and log, for the message of a failure."""
        output = pathlib.Path(self.output.name).read_text(errors="replace")
        return (
            f"--- {' '.join(self.command)}\n--- output\n{output[-4000:]}\n--- error log\n{self.error_text()[-6000:]}\n---"
        )

    def _abandon(self):
        """Kills every process and removes the folder, whatever state the server is in."""
        self.stopped = True
        for pid in {self.pid, *processes.of_session(self.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.output.close()
        if not os.environ.get("KEEP_FOLDERS"):
            shutil.rmtree(self.folder, ignore_errors=True)
