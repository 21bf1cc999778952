"""Exceptions."""

import sys

from .fields import TEXT, exact


def fails(environ, start_response):
    raise ValueError("before start_response: \xe9 \u20ac")


def fails_started(environ, start_response):
    start_response("200 OK", TEXT)
    raise ValueError("after start_response")


def fails_generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    raise ValueError("while generating")


def fails_generated_exact(environ, start_response):
    start_response("200 OK", exact(b"begun and never finished"))
    yield b"begun"
    raise ValueError("while generating")


def fails_chained(environ, start_response):
    try:
        {}["missing"]
    except KeyError:
        raise ValueError("chained")  # noqa: B904


def fails_exit(environ, start_response):
    sys.exit(0)


def fails_base(environ, start_response):
    raise BaseException("base")


def fails_stop(environ, start_response):
    raise StopIteration("stop")


def fails_own_str(environ, start_response):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise Odd()
