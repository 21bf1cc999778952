"""A server process and its descendants: known by pid and birth, so that a reused pid is never signalled.

PostgreSQL gives each of its children a session of its own, so a process group is not the whole server: the tree is
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
        # The child is reaped by init once this command is gone.
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
        """Sends to the program alone, not to its descendants."""
        if self.state() != "ended":
            _send(self.pid, number)

    def pause(self):
        """Stops the whole tree: each parent before its children, so that none is born unseen."""
        if self.state() == "ended":
            return []
        stopped = []
        while fresh := [pid for pid in self._tree() if pid not in stopped]:
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
            stopped += fresh
        return stopped

    def resume(self):
        """Lets the whole tree go on, the children first."""
        if self.state() != "ended":
            for pid in reversed(self._tree()):
                _send(pid, signal.SIGCONT)

    def kill(self, seconds):
        """Ends the whole tree at once, as a power cut would; false when some of it outlives `seconds`."""
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
        # Ours to reap only when this very command started it.
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
    """What this module reads of /proc/PID/stat."""

    def __init__(self, text):
        # The program's name may hold blanks and parentheses; the fields go on after the last one.
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
