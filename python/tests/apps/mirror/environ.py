"""The environ, the process and the thread."""

import json
import os
import threading

from .fields import exact


def shown(value):
    """A value of the environ in JSON, with its type if PEP 3333 prescribes that."""
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, tuple):
        return list(value)
    return "<%s>" % ("callable" if callable(value) else "object")


def environ_(environ, start_response):
    body = json.dumps({key: shown(value) for key, value in environ.items()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def ready(environ, start_response):
    start_response("200 OK", exact(b"ready"))
    return [b"ready"]


probe = fence = ready


def pid(environ, start_response):
    text = b"%d" % os.getpid()
    start_response("200 OK", exact(text))
    return [text]


def threads(environ, start_response):
    text = str(threading.current_thread() is threading.main_thread()).encode()
    start_response("200 OK", exact(text))
    return [text]
