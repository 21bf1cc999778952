"""An application that shows what it was given, and answers in every way that PEP 3333 allows and some that it does not.

A path is a function of this file: /plain calls `plain`. It runs on every Python that the wheel supports.
"""

import json
import os
import sys
import tempfile
import threading

TEXT = [("Content-Type", "text/plain")]
CLOSED = []
BROKEN = object()


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/").split("/")[0].replace("-", "_")
    return globals().get(name if name in ROUTES else "environ_")(environ, start_response)


def shown(value):
    """A value of the environ as JSON can carry it, with its type where that is part of the promise."""
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, tuple):
        return list(value)
    return "<%s>" % ("callable" if callable(value) else "object")


def environ_(environ, start_response):
    body = json.dumps({key: shown(value) for key, value in environ.items()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def exact(text):
    return TEXT + [("Content-Length", str(len(text)))]


def ready(environ, start_response):
    start_response("200 OK", exact(b"ready"))
    return [b"ready"]


probe = fence = ready


def pid(environ, start_response):
    text = b"%d" % os.getpid()
    start_response("200 OK", exact(text))
    return [text]


# Bodies of requests


def echo(environ, start_response):
    text = environ["wsgi.input"].read()
    start_response("200 OK", exact(text))
    return [text]


def pieces(environ, start_response):
    """The body by every way of reading it, as a list of what each call gave."""
    source, found = environ["wsgi.input"], []
    found.append(source.read(0))
    found.append(source.read(3))
    found.append(source.readline())
    found.append(source.readline(2))
    found.extend(source.readlines(1)[:1])
    for line in source:
        found.append(line)
        break
    found.append(source.read(None))
    found.append(source.read())
    found.append(source.read(10))
    found.append(source.readline())
    text = repr(found).encode()
    start_response("200 OK", exact(text))
    return [text]


def unread(environ, start_response):
    return ready(environ, start_response)


def length(environ, start_response):
    """How long the body is, in constant memory."""
    total = 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            break
        total += len(piece)
    text = b"%d" % total
    start_response("200 OK", exact(text))
    return [text]


# Bodies of responses


def plain(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"plain"]


def several(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"one ", b"", b"two ", b"three"]


def empty(environ, start_response):
    start_response("200 OK", TEXT)
    return []


def empty_piece(environ, start_response):
    start_response("200 OK", TEXT)
    return [b""]


def one_tuple(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"tuple",)


def bytes_itself(environ, start_response):
    start_response("200 OK", TEXT)
    return b"abc"


def generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"first "
    yield b""
    yield b"second"


def generated_late(environ, start_response):
    """A generator begins at the first next(): so does start_response."""
    start_response("200 OK", exact(b"late"))
    yield b"late"


class Closing:
    """An iterable that tells how often it was closed."""

    def __init__(self, name, pieces):
        self.name, self.pieces = name, iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        if piece is BROKEN:
            raise RuntimeError("iteration of %s" % self.name)
        return piece

    def close(self):
        CLOSED.append(self.name)


def closing(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing", [b"clo", b"sing"])


def closing_head(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing_head", [b"clo", b"sing"])


def closing_breaks(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing("closing_breaks", [b"begun", BROKEN])


def closing_too_long(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return Closing("closing_too_long", [b"clo", b"sing", b"more", b"and more"])


class ClosingFails(Closing):
    def close(self):
        Closing.close(self)
        raise RuntimeError("close of %s" % self.name)


def close_fails(environ, start_response):
    start_response("200 OK", exact(b"closing"))
    return ClosingFails("close_fails", [b"clo", b"sing"])


def close_endless(environ, start_response):
    """Endless: it ends when the client goes."""
    def forever():
        while True:
            yield b"x" * 65536

    start_response("200 OK", TEXT)
    return Closing("close_endless", forever())


def closed(environ, start_response):
    """Which iterables were closed since the last question."""
    text = repr(CLOSED).encode()
    del CLOSED[:]
    start_response("200 OK", exact(text))
    return [text]


def shorter(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "10")])
    return [b"short"]


def longer(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return [b"long", b"er"]


def longer_piece(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return [b"longer"]


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def no_content_with_body(environ, start_response):
    start_response("204 No Content", exact(b"body"))
    return [b"body"]


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def not_modified_with_length(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"'), ("Content-Length", "4")])
    return [b"body"]


def text_not_bytes(environ, start_response):
    start_response("200 OK", TEXT)
    return ["text"]


def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


def returns_number(environ, start_response):
    start_response("200 OK", TEXT)
    return 7


def large(environ, start_response):
    """A megabyte in pieces of 10000, with its length."""
    start_response("200 OK", TEXT + [("Content-Length", "1000000")])
    return (b"0123456789" * 1000 for _ in range(100))


def large_chunked(environ, start_response):
    start_response("200 OK", TEXT)
    return (b"0123456789" * 1000 for _ in range(100))


# start_response


def status_no_reason(environ, start_response):
    start_response("200 ", exact(b"x"))
    return [b"x"]


def status_only(environ, start_response):
    start_response("200", exact(b"x"))
    return [b"x"]


def status_odd(environ, start_response):
    start_response("299 Quite: All (right) \xe9", exact(b"x"))
    return [b"x"]


def status_teapot(environ, start_response):
    start_response("418 I'm a teapot", exact(b"x"))
    return [b"x"]


def status_two_digits(environ, start_response):
    start_response("20 OK", TEXT)
    return [b"x"]


def status_four_digits(environ, start_response):
    start_response("2000 OK", TEXT)
    return [b"x"]


def status_letters(environ, start_response):
    start_response("OK", TEXT)
    return [b"x"]


def status_number(environ, start_response):
    start_response(200, TEXT)
    return [b"x"]


def status_bytes(environ, start_response):
    start_response(b"200 OK", TEXT)
    return [b"x"]


def status_line_break(environ, start_response):
    start_response("200 OK\r\nX-Injected: 1", TEXT)
    return [b"x"]


def status_interim(environ, start_response):
    start_response("101 Switching Protocols", TEXT)
    return []


def start_twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"x"]


def never_started(environ, start_response):
    return [b"x"]


def never_started_empty(environ, start_response):
    return []


def exc_info_before(environ, start_response):
    """The second call replaces the first where nothing was sent."""
    start_response("200 OK", TEXT + [("X-First", "1")])
    try:
        raise ValueError("before")
    except ValueError:
        start_response("503 Later", exact(b"replaced") + [("X-Second", "1")], sys.exc_info())
    return [b"replaced"]


def exc_info_after(environ, start_response):
    """The second call raises where the head has left."""
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


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    write(b"twice ")
    return [b"and returned"]


def written_exact(environ, start_response):
    write = start_response("200 OK", exact(b"writtenreturned"))
    write(b"written")
    return [b"returned"]


def written_text(environ, start_response):
    write = start_response("200 OK", TEXT)
    write("text")
    return []


def written_then_fails(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written")
    raise ValueError("after write")


# Headers


def answer(start_response, *headers):
    start_response("200 OK", exact(b"x") + list(headers))
    return [b"x"]


def header_repeated(environ, start_response):
    return answer(start_response, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("set-cookie", "c=3"))


def header_latin(environ, start_response):
    return answer(start_response, ("X-Latin", "caf\xe9"), ("X-Tab", "a\tb"), ("X-Spaces", "  around  "), ("X-Empty", ""))


def header_wide(environ, start_response):
    return answer(start_response, ("X-Wide", "\u20ac"))


def header_line_break(environ, start_response):
    return answer(start_response, ("X-Bad", "a\r\nX-Injected: 1"))


def header_newline(environ, start_response):
    return answer(start_response, ("X-Bad", "a\nX-Injected: 1"))


def header_return(environ, start_response):
    return answer(start_response, ("X-Bad", "a\rX-Injected: 1"))


def header_fold(environ, start_response):
    return answer(start_response, ("X-Bad", "a\r\n b"))


def header_nul(environ, start_response):
    return answer(start_response, ("X-Bad", "a\0b"))


def header_control(environ, start_response):
    return answer(start_response, ("X-Bad", "a\x01b"))


def header_delete(environ, start_response):
    return answer(start_response, ("X-Bad", "a\x7fb"))


def header_name_break(environ, start_response):
    return answer(start_response, ("X-Bad\r\nX-Injected", "1"))


def header_name_colon(environ, start_response):
    return answer(start_response, ("X-Bad:", "1"))


def header_name_space(environ, start_response):
    return answer(start_response, ("X Bad", "1"))


def header_name_empty(environ, start_response):
    return answer(start_response, ("", "1"))


def header_value_number(environ, start_response):
    return answer(start_response, ("X-Number", 1))


def header_value_bytes(environ, start_response):
    return answer(start_response, ("X-Bytes", b"1"))


def header_name_bytes(environ, start_response):
    return answer(start_response, (b"X-Bytes", "1"))


def header_tuple(environ, start_response):
    start_response("200 OK", tuple(exact(b"x")))
    return [b"x"]


def header_generator(environ, start_response):
    start_response("200 OK", (pair for pair in exact(b"x")))
    return [b"x"]


def header_triple(environ, start_response):
    return answer(start_response, ("X-Three", "1", "2"))


def header_hop_by_hop(environ, start_response):
    return answer(start_response, ("Keep-Alive", "timeout=1"), ("TE", "x"), ("Trailer", "X"), ("Proxy-Authenticate", "x"))


def header_connection_close(environ, start_response):
    return answer(start_response, ("Connection", "close"))


def header_transfer_encoding(environ, start_response):
    start_response("200 OK", TEXT + [("Transfer-Encoding", "chunked")])
    return [b"x"]


def header_server(environ, start_response):
    return answer(start_response, ("Server", "mine"))


def header_date(environ, start_response):
    return answer(start_response, ("Date", "mine"))


def header_length_text(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "one")])
    return [b"x"]


def header_length_negative(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "-1")])
    return [b"x"]


def header_length_twice(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "1"), ("Content-Length", "1")])
    return [b"x"]


# Exceptions


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
        raise ValueError("chained")


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


def errors(environ, start_response):
    """What is written to wsgi.errors goes to the error log."""
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


# Extensions


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


def made_file(size):
    stream = tempfile.TemporaryFile()
    stream.write(bytes(bytearray(index % 251 for index in range(size))))
    stream.seek(0)
    return stream


def file_exact(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "100000")])
    return environ["wsgi.file_wrapper"](made_file(100000), 4096)


def file_chunked(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](made_file(100000))


def file_offset(environ, start_response):
    stream = made_file(1000)
    stream.seek(900)
    start_response("200 OK", TEXT + [("Content-Length", "100")])
    return environ["wsgi.file_wrapper"](stream)


def file_range(environ, start_response):
    """More in the file than the length says."""
    start_response("206 Partial Content", TEXT + [("Content-Length", "10"), ("Content-Range", "bytes 0-9/1000")])
    return environ["wsgi.file_wrapper"](made_file(1000))


def file_short(environ, start_response):
    """Less in the file than the length says."""
    start_response("200 OK", TEXT + [("Content-Length", "2000")])
    return environ["wsgi.file_wrapper"](made_file(1000))


def file_empty(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "0")])
    return environ["wsgi.file_wrapper"](made_file(0))


class Told:
    """A file of which one knows whether it was closed."""

    def __init__(self, stream):
        self.stream = stream

    def read(self, size=-1):
        return self.stream.read(size)

    def close(self):
        CLOSED.append("file")
        self.stream.close()


def file_without_fileno(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "1000")])
    return environ["wsgi.file_wrapper"](Told(made_file(1000)))


def file_iterated(environ, start_response):
    """The wrapper is an iterable like any other."""
    start_response("200 OK", TEXT)
    return [b"".join(environ["wsgi.file_wrapper"](made_file(1000), 7))]


def file_wrapped(environ, start_response):
    """A middleware gives on the pieces."""
    start_response("200 OK", TEXT)
    return (piece for piece in environ["wsgi.file_wrapper"](made_file(1000), 300))


def threads(environ, start_response):
    text = str(threading.current_thread() is threading.main_thread()).encode()
    start_response("200 OK", exact(text))
    return [text]


ROUTES = {
    name for name, value in list(globals().items())
    if callable(value) and getattr(value, "__code__", None) and value.__code__.co_varnames[:2] == ("environ", "start_response")
} - {"application"}
