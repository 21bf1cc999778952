"""A server under measurement, with all its processes."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Tree:
    """A server process and all its descendants."""

    def __init__(self, command, port, directory, variables=None):
        self.port = port
        environment = {**os.environ, **(variables or {})}
        self.process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{command} does not serve")
                time.sleep(0.05)

    def pids(self):
        parents = {}
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parents.setdefault(int(stat[1]), []).append(int(entry.name))
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue.extend(parents.get(pid, []))
        return found

    def cpu_seconds(self):
        self.check()
        nanoseconds = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
                with contextlib.suppress(OSError):
                    nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def pss_mib(self):
        kib = 0
        for pid in self.pids():
            # A worker may be replaced meanwhile.
            with contextlib.suppress(OSError):
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                kib += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        return kib / 1024

    def check(self):
        if self.process.poll() is not None:
            sys.exit(f"the server has ended with {self.process.returncode} while it was measured")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
