"""Ends a process that the application forked in a request, when it returns from the application."""

import contextlib
import os
import sys
import traceback


def leave(error):
    """End the process as Python does after ``error``, or after none, but without ``atexit``."""
    code = 0
    if isinstance(error, SystemExit):
        code = _code(error.code)
    elif error is not None:
        code = 1
        with contextlib.suppress(Exception):
            traceback.print_exception(type(error), error, error.__traceback__)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _code(given):
    if given is None:
        return 0
    if isinstance(given, int):
        return given & 0xFF
    with contextlib.suppress(Exception):
        print(given, file=sys.stderr)
    return 1
