"""Bodies of requests."""

from .environ import ready
from .fields import exact


def echo(environ, start_response):
    text = environ["wsgi.input"].read()
    start_response("200 OK", exact(text))
    return [text]


def pieces(environ, start_response):
    """Reads the body in every way, and returns the result of each call."""
    source, found = environ["wsgi.input"], []
    found.append(source.read(0))
    found.append(source.read(3))
    found.append(source.readline())
    found.append(source.readline(2))
    found.extend(source.readlines(1)[:1])
    for line in source:
        found.append(line)
        break
    found.append(source.read(None))
    found.append(source.read())
    found.append(source.read(10))
    found.append(source.readline())
    text = repr(found).encode()
    start_response("200 OK", exact(text))
    return [text]


def unread(environ, start_response):
    return ready(environ, start_response)


def length(environ, start_response):
    """The length of the body, read in constant memory."""
    total = 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            break
        total += len(piece)
    text = b"%d" % total
    start_response("200 OK", exact(text))
    return [text]
