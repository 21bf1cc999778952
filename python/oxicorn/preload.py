"""What workers share when their application is preloaded: memory, which is what that is for, and what must not be."""

import os
import socket
import threading

from .shared import freeze

ADVICE = "all workers share it and take what is meant for each other: open it in post_fork, or when it is first needed"


def present():
    """Return what there is before the application is loaded: sockets, and threads."""
    return sockets(), threading.enumerate()


def sockets():
    """Return the connections and listening sockets of this process: descriptors by the number of the socket."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            # The descriptor of the listing itself.
            continue
        if target.startswith("socket:"):
            found[target] = int(name)
    return found


def settle(before):
    """Ready the memory to be shared; return what the application should not have done since ``before`` was taken."""
    freeze()
    sockets_before, threads_before = before
    return [*_connections(sockets_before), *_threads(threads_before)]


def _connections(before):
    opened = {target: fd for target, fd in sockets().items() if target not in before}
    for place in sorted(filter(None, map(_place, opened.values()))):
        yield f"preloading it has opened {place}; {ADVICE}"


def _place(descriptor):
    """Where the socket leads; ``None`` where it may be shared."""
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.type == socket.SOCK_DGRAM:
            # Messages stay whole, whoever sends them.
            return None
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return f"a socket that listens at {_text(found.getsockname())}"
        try:
            peer = _text(found.getpeername())
        except OSError:
            return "a socket that is not connected"
        return f"a connection to {peer}" if peer else "a pair of sockets"


def _text(address):
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return os.fsdecode(address).replace("\0", "@")


def _threads(before):
    # Of a thread that Python has not started it knows no more than that it has run Python code: the server's own have, where they log.
    started = [thread for thread in threading.enumerate() if thread not in before and not isinstance(thread, threading._DummyThread)]
    names = sorted(thread.name for thread in started)
    if names:
        yield (
            f"preloading it has started {', '.join(names)}; no worker has these threads, as a fork copies one alone: "
            "start them in post_fork"
        )
