"""A request that never lets go of the interpreter's lock (apps/lock_holder.py)."""

import contextlib
from signal import SIGKILL

from .deadline import until


def paths(server):
    """Those that the application has seen."""
    return (server.folder / "paths").read_text().split()


@contextlib.contextmanager
def lock_held(server):
    """Holds the lock. At the end it kills the server: nothing else ends such a request."""
    with server.connect() as client:
        client.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        until("a worker that is busy", lambda: "/busy" in paths(server))
        yield
        server.signal(SIGKILL)
        server.process.wait()
        server.code = -SIGKILL
