"""An application that can hold the interpreter's lock for as long as its process lives, and writes down the paths that it gets."""

import os
import re


def application(environ, start_response):
    path = environ["PATH_INFO"]
    with open(os.path.join(os.environ["HOME"], "paths"), "a") as file:
        print(path, file=file)
    if path == "/busy":
        # Backtracks without end: the lock is not let go of inside one match.
        re.match("(a+)+$", "a" * 64 + "b")
    start_response("200 OK", [("Content-Length", "5")])
    return [b"ready"]
