"""Preloading and reforking: prepares the shared memory, and finds connections and threads that must not be shared."""

import os
import socket
import threading

from .shared import freeze

ADVICE = "all workers share it and take what is meant for each other: open it in post_fork, or when it is first needed"


def present():
    """Return the sockets and threads that exist before the application is loaded."""
    return sockets(), threading.enumerate()


def sockets():
    """Return the sockets of this process: descriptors by the kernel's name of the socket."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            # The descriptor that listdir used.
            continue
        if target.startswith("socket:"):
            found[target] = int(name)
    return found


def settle(before):
    """Prepare the memory for sharing, and return warnings about what the application opened since ``before``."""
    freeze()
    sockets_before, threads_before = before
    return [*_connections(sockets_before), *_threads(threads_before)]


def settle_worker():
    """Prepare the memory of a worker that has drained, and is to become a mold. Return what forbids that, or ``None``."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    names = sorted(thread.name for thread in others if not isinstance(thread, threading._DummyThread))
    if names:
        return f"the application has started {', '.join(names)}, and no fork would have these threads: end them in worker_exit"
    freeze()
    return None


def _connections(before):
    opened = {target: fd for target, fd in sockets().items() if target not in before}
    for place in sorted(filter(None, map(_place, opened.values()))):
        yield f"preloading it has opened {place}; {ADVICE}"


def _place(descriptor):
    """Describe the socket; ``None`` if it may be shared."""
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.type == socket.SOCK_DGRAM:
            # Several processes may send datagrams.
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
    # A dummy is a thread that Python did not start, such as the server's own when they log.
    started = [thread for thread in threading.enumerate() if thread not in before and not isinstance(thread, threading._DummyThread)]
    names = sorted(thread.name for thread in started)
    if names:
        yield (
            f"preloading it has started {', '.join(names)}; no worker has these threads, as a fork copies one alone: "
            "start them in post_fork"
        )
