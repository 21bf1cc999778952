"""A server that is expected to end by itself: what it said, and its exit code."""

import pathlib
import shutil
import subprocess
import tempfile

from .deadline import PATIENCE
from .server import APPS, environment_of, program


class Outcome:
    def __init__(self, command, code, text):
        self.command, self.code, self.text = command, code, text

    def __repr__(self):
        return f"--- {' '.join(self.command)}\n--- exit code {self.code}\n{self.text}\n---"


def run(kind, *args, env=None, files=None, python=None, path=APPS, seconds=PATIENCE):
    """Runs the command to its end; `{folder}` in an argument is a folder of its own, with `files` in it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-test-"))
    for name, text in (files or {}).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    command = [*program(kind, python), *(argument.format(folder=folder) for argument in args)]
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment_of({"PYTHONPATH": str(path), **(env or {})}), timeout=seconds, check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{command} runs on after {seconds} s\n{late.stdout}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(command, done.returncode, done.stdout)
