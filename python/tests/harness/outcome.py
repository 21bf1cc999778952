"""A command that ends by itself: its output and its exit code."""

import os
import pathlib
import signal
import subprocess
import tempfile

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
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = RUNS_ON
                # Only now: a daemon of gunicorn may still be in the group after an end.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            output.seek(0)
            outcome = Outcome(command, code, output.read())
    assert may_run_on or code != RUNS_ON, outcome
    return outcome
