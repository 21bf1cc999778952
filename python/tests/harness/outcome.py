"""A command that ends by itself: its output and its exit code."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

from .deadline import TIMEOUT
from .server import APPS, environment_of, program

RUNS_ON = "runs on"


class Outcome:
    def __init__(self, command, code, text):
        self.command, self.code, self.text = command, code, text

    def __repr__(self):
        return f"--- {' '.join(self.command)}\n--- exit code {self.code}\n{self.text[-4000:]}\n---"


def run(kind, *args, env=None, files=None, python=None, path=APPS, seconds=TIMEOUT, may_run_on=False):
    """Runs the command to its end. `{folder}` in an argument is its own folder, which has `files`."""
    with tempfile.TemporaryDirectory(prefix=f"{kind}-test-") as name:
        folder = pathlib.Path(name)
        for file, text in (files or {}).items():
            (folder / file).write_text(text)
        command = [*program(kind, python), *(argument.replace("{folder}", name) for argument in args)]
        with open(folder / "output", "w+", errors="replace") as output:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env=environment_of({"PYTHONPATH": str(path), "HOME": name, **(env or {})}),
            )
            try:
                code = wait(process, folder / "output", seconds, may_run_on)
            finally:
                if process.poll() is None:
                    # Not after an end: a daemon of gunicorn's may still be in the group.
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            output.seek(0)
            outcome = Outcome(command, code, output.read())
    assert may_run_on or code != RUNS_ON, outcome
    return outcome


def wait(process, output, seconds, may_run_on):
    """The exit code, or that it runs on: it serves, or starts one worker after another, or does not end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.05)
        if may_run_on and goes_on(output.read_text(errors="replace")):
            break
    return RUNS_ON


def goes_on(said):
    if said.count("Booting worker") > 3:
        return True
    listens = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)
    if not listens or "Booting worker" not in said:
        return False
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{listens.group(1)}/", timeout=0.5)
        return True
    return False
