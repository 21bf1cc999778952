"""What an application can do to a server, one path each. `GET /closed` returns how often bodies were closed."""

import atexit
import io
import os
import sys
import time
import wsgiref.validate

closed = []
kept = []
BLOCK = b"x" * 65536


class Body:
    """An iterable, not a list, that counts calls of close()."""

    def __init__(self, name, pieces):
        self.name, self.pieces = name, pieces

    def __iter__(self):
        return iter(self.pieces)

    def close(self):
        closed.append(self.name)


def failing(pieces):
    yield from pieces
    raise RuntimeError("in the middle")


def application(environ, start_response):
    return globals()["do_" + environ["PATH_INFO"].strip("/").partition("/")[0]](environ, start_response)


def do_ready(environ, start_response):
    start_response("200 OK", [])
    return [b"ready"]


def do_closed(environ, start_response):
    name = environ["QUERY_STRING"]
    start_response("200 OK", [])
    return [str(closed.count(name)).encode()]


def do_body(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body(environ["QUERY_STRING"], [b"", b"one", b"", b"two"])


def do_sized(environ, start_response):
    start_response("200 OK", [("Content-Length", environ["QUERY_STRING"])])
    return Body("sized", [b"12345", b"67890"])


def do_none(environ, start_response):
    start_response(f"{environ['QUERY_STRING']} Nothing Here", [])
    return Body("none", [b"not to be sent"])


def do_unchanged(environ, start_response):
    length = environ["QUERY_STRING"]
    start_response("304 Not Modified", [("Content-Length", length)] if length else [])
    return [b"four"] if length else []


def do_fails(environ, start_response):
    start_response("200 OK", [])
    return Body("fails", failing([b"begun"]))


def do_fails_first(environ, start_response):
    start_response("200 OK", [])
    return Body("fails_first", failing([]))


def do_endless(environ, start_response):
    start_response("200 OK", [])
    return Body("endless", iter(lambda: BLOCK, None))


def do_late(environ, start_response):
    """Calls start_response no earlier than with the first piece."""
    start_response("202 Late", [("X-Late", "yes")])
    yield b"late"


def do_never(environ, start_response):
    return [b"no head"]


def do_write(environ, start_response):
    write = start_response("200 OK", [])
    write(b"one")
    write(b"")
    write(b"two")
    return Body("write", [b"three"])


def do_write_fails(environ, start_response):
    start_response("200 OK", [])(b"written")
    raise RuntimeError("after write")


def do_write_much(environ, start_response):
    write = start_response("200 OK", [])
    for _ in range(1600):
        write(BLOCK)
    return []


def do_twice(environ, start_response):
    start_response("200 OK", [])
    try:
        start_response("201 Created", [])
    except AssertionError:
        return [b"refused"]
    return [b"taken"]


def do_exc_info(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise KeyError("replaced")
    except KeyError:
        start_response("418 Teapot", [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def do_exc_info_late(environ, start_response):
    start_response("200 OK", [])(b"sent")
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("500 No", [], sys.exc_info())
    return [b"not reached"]


BAD = {
    "value": ("200 OK", [("X-A", "b\r\nX-Evil: 1")]),
    "nul": ("200 OK", [("X-A", "b\0")]),
    "name": ("200 OK", [("X A", "b")]),
    "wide": ("200 OK", [("X-A", "\u20ac")]),
    "status": ("200 OK\r\nX-Evil: 1", []),
    "short": ("20", []),
    "bytes": ("200 OK", [(b"X-A", "b")]),
    "length": ("200 OK", [("Content-Length", "-1")]),
}


def do_bad(environ, start_response):
    start_response(*BAD[environ["QUERY_STRING"]])
    return [b"bad"]


def do_text(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


def do_hints(environ, start_response):
    hints = environ["wsgi.early_hints"]
    hints([("Link", "</a.css>; rel=preload"), (b"X-B", b"c")])
    start_response("200 OK", [])
    return [b"hinted"]


def do_kept(environ, start_response):
    """Keeps the callables of a request and uses them in the next one."""
    errors = []
    for write, hints in kept:
        for use in (lambda: write(b"stolen"), lambda: hints([("X-Stolen", "1")])):
            try:
                use()
                errors.append("nothing")
            except Exception as error:
                errors.append(type(error).__name__)
    kept.clear()
    write = start_response("200 OK", [])
    kept.append((write, environ["wsgi.early_hints"]))
    return [",".join(errors).encode()]


def do_input(environ, start_response):
    source = environ["wsgi.input"]
    how = environ["QUERY_STRING"]
    if how == "lines":
        answer = b"|".join(source)
    elif how == "readlines":
        answer = b"|".join(source.readlines())
    elif how == "mixed":
        answer = b"|".join([source.read(3), source.readline(), source.readline(2), source.read(0), source.read(), source.read(9)])
    else:
        answer = str(sum(len(block) for block in iter(lambda: source.read(65536), b""))).encode()
    start_response("200 OK", [])
    return [answer]


def do_file(environ, start_response):
    file = open(environ["QUERY_STRING"], "rb")
    file.readline()
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](file)


def do_file_part(environ, start_response):
    file = open(environ["QUERY_STRING"], "rb")
    start_response("200 OK", [("Content-Length", "4")])
    return environ["wsgi.file_wrapper"](file)


def do_file_like(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"like a file"), 4)


def do_download(environ, start_response):
    count = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(count * len(BLOCK)))])
    return (BLOCK for _ in range(count))


def do_errors(environ, start_response):
    print("a line of", "the application", file=environ["wsgi.errors"])
    start_response("200 OK", [])
    return [b""]


def do_sleep(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [])
    return [b"awake"]


def do_rss(environ, start_response):
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    start_response("200 OK", [])
    return [str(pages * os.sysconf("SC_PAGE_SIZE")).encode()]


validated = wsgiref.validate.validator(lambda environ, start_response: validate_inner(environ, start_response))


def validate_inner(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.errors"].flush()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Nested:
    class Deeper:
        @staticmethod
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"nested"]


def factory(greeting, times=1):
    def made(environ, start_response):
        start_response("200 OK", [])
        return [(greeting * times).encode()]

    return made


if marker := os.environ.get("LAB_ATEXIT"):
    atexit.register(lambda: open(f"{marker}.{os.getpid()}", "w").close())
