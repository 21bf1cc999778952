"""Files by wsgi.file_wrapper."""

import tempfile

from .closing import CLOSED
from .fields import TEXT


def made_file(size):
    stream = tempfile.TemporaryFile()
    stream.write(bytes(bytearray(index % 251 for index in range(size))))
    stream.seek(0)
    return stream


def file_exact(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "100000")])
    return environ["wsgi.file_wrapper"](made_file(100000), 4096)


def file_chunked(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](made_file(100000))


def file_offset(environ, start_response):
    stream = made_file(1000)
    stream.seek(900)
    start_response("200 OK", TEXT + [("Content-Length", "100")])
    return environ["wsgi.file_wrapper"](stream)


def file_range(environ, start_response):
    """The file is longer than announced."""
    start_response("206 Partial Content", TEXT + [("Content-Length", "10"), ("Content-Range", "bytes 0-9/1000")])
    return environ["wsgi.file_wrapper"](made_file(1000))


def file_short(environ, start_response):
    """The file is shorter than announced."""
    start_response("200 OK", TEXT + [("Content-Length", "2000")])
    return environ["wsgi.file_wrapper"](made_file(1000))


def file_empty(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "0")])
    return environ["wsgi.file_wrapper"](made_file(0))


class Told:
    """A file that records whether it was closed."""

    def __init__(self, stream):
        self.stream = stream

    def read(self, size=-1):
        return self.stream.read(size)

    def close(self):
        CLOSED.append("file")
        self.stream.close()


def file_without_fileno(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "1000")])
    return environ["wsgi.file_wrapper"](Told(made_file(1000)))


def file_iterated(environ, start_response):
    """The wrapper is an iterable like any other."""
    start_response("200 OK", TEXT)
    return [b"".join(environ["wsgi.file_wrapper"](made_file(1000), 7))]


def file_wrapped(environ, start_response):
    """A middleware passes the pieces on."""
    start_response("200 OK", TEXT)
    return (piece for piece in environ["wsgi.file_wrapper"](made_file(1000), 300))
