"""What a container is, without an engine: namespaces of processes, mounts and network, and another user."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from instance import BUILT, LONG, open_folder, until

# $1: a folder with the binary and the token; $2: the user; then the command. The root is this machine's, and cannot be written to.
OWN_ROOT = """
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
# $1: the root of an image; $2: what ENTER needs.
ROOT_OF_AN_IMAGE = """
mount --make-rprivate /
ip link set lo up
mount -t proc proc "$1/proc"
exec python3 -c "$ENTER" "$@"
"""
ENTER = """
import json, os, sys
root, told = sys.argv[1], json.loads(sys.argv[2])
os.chroot(root)
os.chdir(told["directory"])
os.setgroups([])
os.setgid(told["user"])
os.setuid(told["user"])
os.execve(told["command"][0], told["command"], told["env"])
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
        self.user, self.env = user, {"PATH": os.environ["PATH"], **(env or {})}
        self.words = self.prepare(command)
        self.process = None

    def prepare(self, command):
        """The script that becomes the command, with its arguments."""
        # Where another user reaches it.
        shutil.copy(BUILT / "oxicorn", self.folder / "oxicorn")
        (self.folder / "token").write_text("a-token-of-sixteen-characters-and-more")
        return [OWN_ROOT, "sh", self.folder, str(self.user), *command]

    def __enter__(self):
        with (self.folder / "log").open("wb") as log:
            unshare = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-ec", *self.words]
            env = {**self.env, "PATH": os.environ["PATH"], "ENTER": ENTER}
            self.process = subprocess.Popen(unshare, env=env, stdout=log, stderr=log, start_new_session=True)
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

    def enter(self, *words):
        """A command of this machine with the namespaces that nsenter names."""
        return subprocess.run(
            ["nsenter", "--target", str(self.first()), *words], env=self.env, capture_output=True, text=True, timeout=LONG, check=False,
        )

    def run(self, *words):
        """A command inside, as the same user."""
        return self.enter("--mount", "--pid", "--net", "setpriv", "--reuid", str(self.user), "--clear-groups", *words)

    def get(self, port, path):
        """The status of a request, as a kubelet sends it; None if there is none."""
        words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", f"http://127.0.0.1:{port}{path}"]
        told = self.enter("--net", *words)
        return int(told.stdout) if told.returncode == 0 else None

    def until_ready(self, port, path):
        def ready():
            assert self.process.poll() is None, self.log()
            return self.get(port, path) == 200
        until(f"{path} answers", ready, LONG)

    def signal(self, number):
        os.kill(self.first(), number)


class Container(Sandbox):
    """An image as an engine runs it, by what its configuration says; `root` is where its files are."""

    def __init__(self, root, configuration, flags=()):
        self.root, self.configuration, self.flags = root, configuration, flags
        user = int(configuration["User"].partition(":")[0])
        super().__init__([*configuration["Entrypoint"], *(flags or configuration["Cmd"])], user, dict(
            line.split("=", 1) for line in configuration["Env"]
        ))

    def prepare(self, command):
        told = {"command": command, "directory": self.configuration["WorkingDir"], "user": self.user, "env": self.env}
        return [ROOT_OF_AN_IMAGE, "sh", self.root, json.dumps(told)]

    def run(self, *words):
        ids = ("--setuid", str(self.user), "--setgid", str(self.user))
        return self.enter("--mount", "--pid", "--net", "--root", "--wd", *ids, "--", *words)
