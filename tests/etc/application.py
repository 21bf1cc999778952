"""What the instances serve that are Python applications: the paths of the `lab` that the clients of load.py ask for."""

import os
import time
from urllib.parse import parse_qsl


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/sleep":
        time.sleep(int(dict(parse_qsl(query)).get("ms", 0)) / 1000)
        body = str(os.getpid())
    elif path == "/echo":
        body = environ["wsgi.input"].read().decode()
    else:
        body = f"{environ['REQUEST_METHOD']} {path}?{query}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
