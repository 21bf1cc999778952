"""What an application writes to the logs."""

import sys

from .environ import ready


def errors(environ, start_response):
    """wsgi.errors goes to the error log."""
    stream = environ["wsgi.errors"]
    stream.write("errors says: \xe9 \u20ac\n")
    stream.writelines(["line one\n", "line two\n"]) if hasattr(stream, "writelines") else None
    stream.flush()
    return ready(environ, start_response)


def prints(environ, start_response):
    print("prints says hello")
    sys.stdout.flush()
    sys.stderr.write("stderr says hello\n")
    return ready(environ, start_response)
