"""The throw-away folder: one record a service, and the lock that keeps two commands apart.

    FOLDER/state.json     {name: {"home", "ports", "pid", "birth"}}
    FOLDER/NAME/          the service's data, removed with it
    FOLDER/NAME.log       what it printed

The folder itself is what is locked, for it is all that is left to lock when `down` has removed its files.
"""

import contextlib
import fcntl
import json
import os
import random
import shutil
import socket
import threading
from pathlib import Path

from .failure import Failure

FIRST_UNPRIVILEGED_PORT = 1_024
PORTS_TRIED = 200


class Folder:
    """Reads need no lock, for the state is replaced whole; whoever changes something holds `locked`."""

    def __init__(self, path):
        self.path = Path(path).absolute()
        self._state = self.path / "state.json"
        self._writer = threading.Lock()

    @contextlib.contextmanager
    def locked(self):
        """Makes the folder where it is missing and keeps other commands out until the block ends."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # The one who held the lock before may have removed the folder.
                if not self.path.exists() or not os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    continue
                self._own()
                yield
                return
            finally:
                os.close(descriptor)

    def records(self):
        """The services that are set up, by name; empty when there is no folder."""
        try:
            return json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}

    def keep(self, name, record):
        """Writes one service's record; `None` forgets it."""
        with self._writer:
            records = self.records()
            if record is None:
                records.pop(name, None)
            else:
                records[name] = record
            fresh = self._state.with_suffix(".new")
            fresh.write_text(json.dumps(records, indent=2) + "\n")
            fresh.replace(self._state)

    def remove(self):
        """Removes the folder with all that is in it."""
        shutil.rmtree(self.path)

    def free_port(self):
        """A loopback port that nobody listens on and no record names.

        It lies below the range from which the kernel picks a client's own port: a client that knocks at a stopped
        service could otherwise be given that very port and be connected to itself.
        """
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        taken = {port for record in self.records().values() for port in record["ports"].values()}
        span = range(max(FIRST_UNPRIVILEGED_PORT, lowest - 12_000), max(lowest, FIRST_UNPRIVILEGED_PORT + 1_000))
        for port in random.sample(span, k=PORTS_TRIED):
            with socket.socket() as probe:
                if port not in taken and probe.connect_ex(("127.0.0.1", port)) != 0 and _bindable(port):
                    return port
        raise Failure(f"no free port between {span.start} and {span.stop} on 127.0.0.1")

    def _own(self):
        if self._state.exists():
            return
        if any(self.path.iterdir()):
            raise Failure(f"{self.path} holds something else: name an empty folder in OXICORN_SERVICES_DIR")
        self._state.write_text("{}\n")


def _bindable(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
