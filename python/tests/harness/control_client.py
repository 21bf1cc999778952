"""Commands that ask a server over its control socket."""

import json
import pathlib
import subprocess
import sys

from .deadline import until
from .server import environment_of

BIN = pathlib.Path(sys.executable).parent


def run(server, *command, text=None):
    """Exit code, output and errors of a command of the server's user."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]], env=environment_of({"HOME": str(server.folder)}), input=text, cwd=server.folder,
        capture_output=True, text=True, timeout=60, check=False,
    )
    return done.returncode, done.stdout, done.stderr


def status(server):
    """Everything that the server says of itself."""
    code, out, errors = run(server, "oxicorn", "ctl", "-s", str(socket(server)), "--json", "status")
    assert code == 0, errors
    return json.loads(out)


def socket(server):
    path = server.folder / ".gunicorn/gunicorn.ctl"
    until("the control socket", path.exists)
    return path
