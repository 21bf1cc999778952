"""Bodies of responses."""

from .fields import TEXT, exact


def plain(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"plain"]


def several(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one ", b"", b"two ", b"three"]


def empty(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def empty_piece(environ, start_response):
    start_response("200 OK", TEXT)
    return [b""]


def one_tuple(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"tuple",)


def bytes_itself(environ, start_response):
    start_response("200 OK", TEXT)
    return b"abc"


def generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    yield b""
    yield b"second"


def generated_late(environ, start_response):
    """A generator, which calls start_response at the first next()."""
    start_response("200 OK", exact(b"late"))
    yield b"late"


def shorter(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "10")])
    return [b"short"]


def longer(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return [b"long", b"er"]


def longer_piece(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return [b"longer"]


def text_not_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


def returns_number(environ, start_response):
    start_response("200 OK", TEXT)
    return 7


def large(environ, start_response):
    """A megabyte in pieces of 10000, with its length."""
    start_response("200 OK", TEXT + [("Content-Length", "1000000")])
    return (b"0123456789" * 1000 for _ in range(100))


def large_chunked(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"0123456789" * 1000 for _ in range(100))
