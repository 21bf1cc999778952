"""A server process and its descendants, identified by pid and start time, so that a reused pid is never signalled.

PostgreSQL gives each of its children a session of its own, so a process group is not the whole server. The tree is
found through the parents in /proc (proc(5)).
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


class Process:
    """One running program; `birth` is its start time in clock ticks since boot."""

    def __init__(self, pid, birth):
        self.pid = pid
        self.birth = birth

    @classmethod
    def spawn(cls, argv, home, log, owner=None):
        """Starts `argv` in a session of its own, so that it outlives this command; its output is appended to `log`."""
        with open(log, "ab") as output:
            child = subprocess.Popen(
                [str(word) for word in argv],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **(owner.switch() if owner else {}),
            )
        # init reaps the child after this command has ended.
        child.returncode = 0
        stat = _stat(child.pid)
        return cls(child.pid, stat.birth if stat else 0)

    def state(self):
        """`running`, `paused` or `ended`."""
        stat = _stat(self.pid)
        if stat is None or stat.birth != self.birth or stat.state in "ZX":
            return "ended"
        return "paused" if stat.state in "Tt" else "running"

    def signal(self, number):
        """Signals the program, but not its descendants."""
        if self.state() != "ended":
            _send(self.pid, number)

    def pause(self):
        """Stops the whole tree, parents before children, so that no new child is missed."""
        if self.state() == "ended":
            return []
        stopped = []
        while fresh := [pid for pid in self._tree() if pid not in stopped]:
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            stopped += fresh
        return stopped

    def resume(self):
        """Continues the whole tree, children first."""
        if self.state() != "ended":
            for pid in reversed(self._tree()):
                _send(pid, signal.SIGCONT)

    def kill(self, seconds):
        """Kills the whole tree at once, like a power cut. False if some process outlives `seconds`."""
        tree = [Process(pid, stat.birth) for pid in self.pause() if (stat := _stat(pid))]
        for process in tree:
            process.signal(signal.SIGKILL)
        ended = [process.wait(seconds) for process in tree]
        return all(ended)

    def wait(self, seconds):
        """True when the program has ended within `seconds`."""
        deadline = time.monotonic() + seconds
        while self.state() != "ended":
            if time.monotonic() > deadline:
                return False
            self._reap()
            time.sleep(0.02)
        self._reap()
        return True

    def _reap(self):
        # Only the command that started it can reap it.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)

    def _tree(self):
        children = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (stat := _stat(int(entry.name))):
                children.setdefault(stat.parent, []).append(int(entry.name))
        tree = [self.pid]
        for pid in tree:
            tree += children.get(pid, [])
        return tree


class _Stat:
    """The fields of /proc/PID/stat that this module needs."""

    def __init__(self, text):
        # The name may contain blanks and parentheses; the other fields follow the last parenthesis.
        fields = text.rpartition(")")[2].split()
        self.state = fields[0]
        self.parent = int(fields[1])
        self.birth = int(fields[19])


def _stat(pid):
    try:
        return _Stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def _send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
