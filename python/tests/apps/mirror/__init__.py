"""An application that shows its input, and responds in every way that PEP 3333 allows, and in some that it forbids.

A path is a function of one of these files: /plain calls `bodies.plain`. It runs on every Python that the wheel supports.
"""

from . import bodies, closing, environ, failures, files, headers, hints, inputs, logs, starting, statuses, writing

PARTS = [bodies, closing, environ, failures, files, headers, hints, inputs, logs, starting, statuses, writing]
VIEWS = {
    name: value for part in PARTS for name, value in vars(part).items()
    if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[:2] == ("environ", "start_response")
}


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0].replace("-", "_")
    return VIEWS.get(name, VIEWS["environ_"])(environ, start_response)
