"""What a container is, without an engine: namespaces of processes, mounts and network, another user, a root that cannot be written to."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from instance import BUILT, LONG, open_folder, until

# $1: the folder with `bin` and what is mounted; $2: a user and group; then the command.
SCRIPT = """
folder=$1 user=$2; shift 2
mount --make-rprivate /
ip link set lo up
mount -t proc proc /proc
mount -t tmpfs none /usr/local/bin
touch /usr/local/bin/oxicorn
mount --bind "$folder/oxicorn" /usr/local/bin/oxicorn
mount -t tmpfs none /run
mkdir -m 700 /run/oxicorn && chown "$user:$user" /run/oxicorn
mount -t tmpfs none /etc/opt
mkdir -p "/etc/opt/admin" && cp "$folder/token" /etc/opt/admin/token && chown "$user" /etc/opt/admin/token
mount -t tmpfs -o mode=1777 none /tmp
mount -o remount,bind,ro /
cd /usr
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


def allowed():
    """Whether this machine lets us make the namespaces."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "setpriv", "ip"))):
        return False
    attempt = ["unshare", "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "none", "/run"]
    return subprocess.run(attempt, check=False, capture_output=True).returncode == 0


class Sandbox:
    """One command as process 1. The binary is /usr/local/bin/oxicorn, and nothing but /run/oxicorn and /tmp can be written to."""

    def __init__(self, command, user, env=None):
        if not allowed():
            raise unittest.SkipTest("takes root, and namespaces")
        self.folder = open_folder("sandbox")
        # On a file system of its own that another user reaches.
        shutil.copy(BUILT / "oxicorn", self.folder / "oxicorn")
        (self.folder / "token").write_text("a-token-of-sixteen-characters-and-more")
        self.command, self.user, self.env = command, user, {"PATH": os.environ["PATH"], **(env or {})}
        self.process = None

    def __enter__(self):
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-ec", SCRIPT, "sh", self.folder, str(self.user),
                 *self.command], env=self.env, stdout=log, stderr=log, start_new_session=True,
            )
        until("process 1", lambda: self.process.poll() is not None or self._children(), LONG)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.log(), file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder)

    def log(self):
        return (self.folder / "log").read_text()

    def first(self):
        """The pid, outside, of its process 1."""
        return int(self._children())

    def _children(self):
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()

    def run(self, *words):
        """A command inside, as the same user."""
        enter = ["nsenter", "--target", str(self.first()), "--mount", "--pid", "--net"]
        become = ["setpriv", "--reuid", str(self.user), "--clear-groups"]
        return subprocess.run([*enter, *become, *words], env=self.env, capture_output=True, text=True, timeout=LONG, check=False)

    def get(self, port, path):
        """The status of a request, as a kubelet sends it; None if there is none."""
        words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", f"http://127.0.0.1:{port}{path}"]
        told = self.run(*words)
        return int(told.stdout) if told.returncode == 0 else None

    def until_ready(self, port, path):
        def ready():
            assert self.process.poll() is None, self.log()
            return self.get(port, path) == 200
        until(f"{path} answers", ready, LONG)

    def signal(self, number):
        os.kill(self.first(), number)
