"""The temporary folder: one record per service, and the lock that keeps two commands apart.

    FOLDER/state.json     {name: {"home", "ports", "pid", "birth"}}
    FOLDER/NAME/          the service's data, removed with it
    FOLDER/NAME.log       its output

The lock is on the folder itself, because `down` removes all files.
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
    """Reading needs no lock, because the state is replaced as a whole. Changes need `locked`."""

    def __init__(self, path):
        self.path = Path(path).absolute()
        self._state = self.path / "state.json"
        self._writer = threading.Lock()

    @contextlib.contextmanager
    def locked(self):
        """Creates the folder if necessary, and keeps other commands out until the block ends."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # The previous holder of the lock may have removed the folder.
                if not self.path.exists() or not os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    continue
                self._own()
                yield
                return
            finally:
                os.close(descriptor)

    def records(self):
        """The services that are set up, by name; empty without a folder."""
        try:
            return json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}

    def keep(self, name, record):
        """Writes the record of a service; `None` removes it."""
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
        """Removes the folder with its contents."""
        shutil.rmtree(self.path)

    def free_port(self):
        """A loopback port that is free and in no record.

        It lies below the range from which the kernel picks the port of a client. Otherwise a client of a stopped
        service could get that same port and connect to itself.
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
