"""A server under measurement with all its processes."""

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
    """A server process and all its descendants. It serves when `ready` has returned."""

    def __init__(self, command, port, directory, variables=None):
        self.command, self.port = [str(word) for word in command], port
        self.said = pathlib.Path(directory, f"said-{port}")
        environment = {**os.environ, **(variables or {})}
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                self.command, cwd=directory, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment,
                start_new_session=True,
            )

    def ready(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).read()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{' '.join(self.command)} does not serve:\n{self.said.read_text(errors='replace')[-2000:]}")
                time.sleep(0.02)

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
        """CPU time of the living processes, and of the ended ones that were waited for."""
        if self.process.poll() is not None:
            sys.exit(f"{self.command[0]} has ended with {self.process.returncode} while it was measured")
        ticks = os.sysconf("SC_CLK_TCK")
        seconds = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                seconds += (int(fields[13]) + int(fields[14])) / ticks
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
                with contextlib.suppress(OSError):
                    seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
        return seconds

    def pss_mib(self):
        """The proportional set size as if no other process used the same files.

        Anonymous memory belongs to the tree. A page of a file counts once for the tree, and not by the share that the
        kernel assigns to each user, because several servers use the same interpreter at the same time here.
        """
        own, files = 0, {}
        for pid in self.pids():
            # A worker may have been replaced.
            with contextlib.suppress(OSError):
                process = pathlib.Path(f"/proc/{pid}")
                own += sizes("Pss_Anon", (process / "smaps_rollup").read_text())
                mine = {}
                for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", (process / "smaps").read_text()):
                    _, _, offset, device, inode, *_ = mapping.split("\n", 1)[0].split(maxsplit=5)
                    if inode != "0":
                        place = (device, inode, offset)
                        mine[place] = mine.get(place, 0) + sizes("Rss", mapping) - sizes("Anonymous", mapping)
                for place, size in mine.items():
                    files[place] = max(files.get(place, 0), size)
        return (own + sum(files.values())) / 1024

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        # The rest of its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def sizes(name, text):
    return sum(map(int, re.findall(rf"^{name}:\s+(\d+)", text, re.M)))
