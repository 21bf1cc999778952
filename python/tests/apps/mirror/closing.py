"""Iterables that record whether they were closed."""

from .fields import TEXT, exact

CLOSED = []
BROKEN = object()


class Closing:
    """An iterable that counts how often it was closed."""

    def __init__(self, name, pieces):
        self.name, self.pieces = name, iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        if piece is BROKEN:
            raise RuntimeError("iteration of %s" % self.name)
        return piece

    def close(self):
        CLOSED.append(self.name)


def closing(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing", [b"clo", b"sing"])


def closing_head(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing_head", [b"clo", b"sing"])


def closing_breaks(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing("closing_breaks", [b"begun", BROKEN])


def closing_too_long(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing_too_long", [b"clo", b"sing", b"more", b"and more"])


class ClosingFails(Closing):
    def close(self):
        Closing.close(self)
        raise RuntimeError("close of %s" % self.name)


def close_fails(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return ClosingFails("close_fails", [b"clo", b"sing"])


def close_endless(environ, start_response):
    """An endless body, until the client leaves."""
    def forever():
        while True:
            yield b"x" * 65536

    start_response("200 OK", TEXT)
    return Closing("close_endless", forever())


def closed(environ, start_response):
    """Which iterables were closed since the last call."""
    text = repr(CLOSED).encode()
    del CLOSED[:]
    start_response("200 OK", exact(text))
    return [text]
