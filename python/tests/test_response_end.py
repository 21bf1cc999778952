"""A response ends properly, and its iterable is closed once, when the worker drains or the client leaves."""

import hashlib
import os
import ssl
from signal import SIGHUP, SIGTERM

import pytest

from harness import OXICORN, Server, until

# Writes a file when it is closed, and continues after the first piece when another file exists.
STREAM = """
import os
import time

HOME = os.environ["HOME"]


class Pieces:
    def __iter__(self):
        yield b"a" * 65536
        while not os.path.exists(os.path.join(HOME, "go")):
            time.sleep(0.005)
        for _ in range(100):
            yield b"b" * 65536

    def close(self):
        with open(os.path.join(HOME, "closed"), "a") as file:
            file.write("closed\\n")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/ready":
        start_response("200 OK", [])
        return []
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open(os.path.join(HOME, "big"), "rb"))
    start_response("200 OK", [("Content-Length", str(101 * 65536))])
    return Pieces()
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def stream(*flags, **more):
    return Server(OXICORN, "stream:application", "--threads", "2", *flags, files={"stream.py": STREAM}, **more)


def closed(server):
    place = server.folder / "closed"
    # The application makes the file before it writes to it.
    return until("close", lambda: place.exists() and place.read_text())


@pytest.mark.parametrize("number", [SIGTERM, SIGHUP], ids=["term", "hup"])
def test_a_response_outlives_the_drain_and_is_closed_once(number):
    with stream() as server:
        with server.connect() as client:
            client.send(REQUEST)
            client.through(b"aaaa")
            server.signal(number)
            until("the drain", lambda: "Worker draining" in server.error_text())
            (server.folder / "go").touch()
            body = client.exactly(101 * 65536 - 4)
            assert body.count(b"b") == 100 * 65536
        if number == SIGTERM:
            assert server.wait_exit() == 0
        assert closed(server) == "closed\n"


@pytest.mark.parametrize("drains", [False, True])
def test_a_client_that_leaves_has_it_closed_once(drains):
    with stream(expects=[r"."]) as server:
        with server.connect() as client:
            client.send(REQUEST)
            client.through(b"aaaa")
            if drains:
                server.signal(SIGHUP)
                until("the drain", lambda: "Worker draining" in server.error_text())
        (server.folder / "go").touch()
        assert closed(server) == "closed\n"
        until("its worker has nothing left to do", lambda: len(server.workers()) == 1)
        assert closed(server) == "closed\n"


def test_a_file_goes_through_tls_whole(certificates):
    content = os.urandom(5_000_000)
    flags = ["--certfile", str(certificates / "cert.pem"), "--keyfile", str(certificates / "key.pem")]
    context = ssl.create_default_context(cafile=certificates / "cert.pem")
    with stream(*flags, ready=False) as server:
        (server.folder / "big").write_bytes(content)
        until("a worker", server.workers)
        with server.connect(tls=context) as client:
            client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
            client.through(b"\r\n\r\n")
            body = client.exactly(len(content))
            assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
