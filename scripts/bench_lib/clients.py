"""A few clients in a loop, each on its own connection, and beside them a new connection every tenth of a second.

wrk reports all clients together. This counts each one, so that a neglected client shows. The load is light: one
thread, a few thousand requests per second.
"""

import re
import select
import socket
import time

EVERY = 0.1
# How long to wait for answers after the end. A missing one counts as having taken this long.
TIMEOUT = 8.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CLOSE = re.compile(rb"\r\nconnection: *close", re.I)


class Connection:
    """A connection and its current request."""

    def __init__(self, loop, request, lives):
        self.loop, self.request, self.lives = loop, request, lives
        self.waits, self.answers, self.broken, self.socket = [], 0, 0, None

    def begin(self):
        self.begun, self.received = time.monotonic(), b""
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.loop.port), TIMEOUT)
            self.socket.setblocking(False)
            self.loop.add(self)
        try:
            self.socket.send(self.request)
        except OSError:
            self.lost()

    def readable(self):
        try:
            octets = self.socket.recv(65536)
        except OSError:
            octets = b""
        if not octets:
            self.lost()
            return
        self.received += octets
        head, blank, body = self.received.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if not blank or (length and len(body) < int(length.group(1))):
            return
        now = time.monotonic()
        self.waits.append(now - self.begun)
        self.answers += now < self.loop.end
        self.broken += not head.startswith(b"HTTP/1.1 200")
        if not self.lives or CLOSE.search(head):
            self.drop()
        self.next(now)

    def lost(self):
        self.broken += 1
        self.drop()
        self.next(time.monotonic())

    def next(self, now):
        self.begun = None
        if self.lives and now < self.loop.end:
            self.begin()

    def drop(self):
        self.loop.remove(self)
        self.socket.close()
        self.socket = None


class Loop:
    def __init__(self, port, seconds):
        self.port, self.end = port, time.monotonic() + seconds
        self.poll, self.connections = select.epoll(), {}

    def add(self, connection):
        self.connections[connection.socket.fileno()] = connection
        self.poll.register(connection.socket, select.EPOLLIN)

    def remove(self, connection):
        self.poll.unregister(connection.socket)
        del self.connections[connection.socket.fileno()]

    def turn(self, until):
        for number, _ in self.poll.poll(max(until - time.monotonic(), 0)):
            if connection := self.connections.get(number):
                connection.readable()


class Clients:
    def __init__(self, clients, path, timeout=TIMEOUT):
        self.clients, self.path, self.timeout = clients, path, timeout

    def request(self, fields=""):
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()

    def run(self, port, seconds):
        loop = Loop(port, seconds)
        lasting = [Connection(loop, self.request(), True) for _ in range(self.clients)]
        fresh = []
        for connection in lasting:
            connection.begin()
        next_fresh = time.monotonic() + EVERY / 2
        while (now := time.monotonic()) < loop.end:
            if now >= next_fresh:
                fresh.append(Connection(loop, self.request("Connection: close\r\n"), False))
                fresh[-1].begin()
                next_fresh += EVERY
            loop.turn(min(next_fresh, loop.end))
        last = loop.end + self.timeout
        while any(one.begun for one in (*lasting, *fresh)) and time.monotonic() < last:
            loop.turn(last)
        now = time.monotonic()
        for connection in (*lasting, *fresh):
            if connection.begun:
                connection.waits.append(now - connection.begun)
        for connection in list(loop.connections.values()):
            connection.drop()
        return figures(lasting, fresh, seconds)


def figures(lasting, fresh, seconds):
    """The figures of wrk, the fewest answers of a client relative to the mean, and the waits of new connections."""
    waits = sorted(wait for one in lasting for wait in one.waits)
    answers = sum(one.answers for one in lasting)
    new = sorted(wait for one in fresh for wait in one.waits) or [0]
    return {
        "requests": answers + sum(1 for one in fresh if one.waits),
        "rate": answers / seconds,
        **{name: share(waits, part) * 1e3 for name, part in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))},
        "broken": sum(one.broken for one in (*lasting, *fresh)),
        "fewest": min(one.answers for one in lasting) * len(lasting) / max(answers, 1),
        "new p50": share(new, 0.5) * 1e3,
        "new slowest": new[-1] * 1e3,
    }


def share(ordered, part):
    """The wait that this share of the requests did not exceed; `ordered` may be empty."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else TIMEOUT
