"""Early hints."""

from .environ import ready
from .fields import exact


def early_hints(environ, start_response):
    hints = environ["wsgi.early_hints"]
    hints([("Link", "</style.css>; rel=preload; as=style"), ("X-Other", "1")])
    hints([("Link", "</script.js>; rel=preload")])
    return ready(environ, start_response)


def early_hints_bad(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "a\r\nX-Injected: 1")])
    return ready(environ, start_response)


def early_hints_late(environ, start_response):
    write = start_response("200 OK", exact(b"late"))
    write(b"la")
    environ["wsgi.early_hints"]([("Link", "x")])
    return [b"te"]
