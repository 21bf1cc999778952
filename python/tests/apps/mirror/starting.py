"""When and how often start_response is called."""

import sys

from .fields import TEXT, exact


def start_twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"x"]


def never_started(environ, start_response):
    return [b"x"]


def never_started_empty(environ, start_response):
    return []


def exc_info_before(environ, start_response):
    """The second call replaces the first if nothing was sent."""
    start_response("200 OK", TEXT + [("X-First", "1")])
    try:
        raise ValueError("before")
    except ValueError:
        start_response("503 Later", exact(b"replaced") + [("X-Second", "1")], sys.exc_info())
    return [b"replaced"]


def exc_info_after(environ, start_response):
    """The second call raises if the head was sent."""
    write = start_response("200 OK", TEXT)
    write(b"sent")
    try:
        raise ValueError("after")
    except ValueError:
        start_response("503 Later", TEXT, sys.exc_info())
    return [b"never"]


def exc_info_first(environ, start_response):
    try:
        raise ValueError("first")
    except ValueError:
        start_response("503 Later", exact(b"first"), sys.exc_info())
    return [b"first"]


def exc_info_generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    try:
        raise ValueError("generated")
    except ValueError:
        start_response("503 Later", TEXT, sys.exc_info())
    yield b"never"
