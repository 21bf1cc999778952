"""os.fork and multiprocessing in a view: the child belongs to the application and never becomes a second worker."""

import contextlib
import os
import pathlib
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from harness import OXICORN, Server, processes, until

CASES = {
    "/return": "0", "/raise": "1", "/exit": "7", "/pieces": "one 0", "/written": "child ended with 1", "/closing": "body",
}
THREADS = pytest.mark.parametrize("flags", [[], ["--threads", "2"], ["--preload"]], ids=["one", "two", "preload"])


@THREADS
def test_a_child_that_comes_back_ends(flags):
    with Server(OXICORN, "forking:application", *flags) as server:
        pid = server.get("/pid").text
        for path, expected in CASES.items():
            with server.connect() as client:
                assert client.get(path).text == expected, path
                # There is one response, and the worker keeps the connection.
                assert client.get("/pid").text == pid, path
            assert processes.children(int(pid)) == [], path
        for _ in range(50):
            assert server.get("/pid").text == pid
        output = pathlib.Path(server.output.name).read_text()
        assert output.count("said by the child") == 1
        assert "ValueError: raised by the child" in output
        assert "Traceback" not in server.error_text()


def children(server):
    place = server.folder / "child"
    return [int(place.read_text())] if place.exists() else []


@contextlib.contextmanager
def staying(*flags, **more):
    with Server(OXICORN, "forking:application", *flags, **more) as server:
        try:
            yield server
        finally:
            for pid in children(server):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)


@THREADS
def test_a_child_that_lives_on_keeps_no_connection_open(flags):
    with staying(*flags) as server:
        with server.connect() as idle, server.connect() as client:
            assert idle.get("/pid").status == 200
            client.send(b"GET /stay HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.answer().text == "started"
            assert client.rest() == b""
            # A connection that the child shares, and that ends later.
            idle.send(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert idle.answer().status == 200
            assert idle.rest() == b""
        assert processes.alive(children(server)[0])


@pytest.mark.parametrize("number", [SIGINT, SIGTERM], ids=["int", "term"])
def test_the_end_of_a_worker_ends_connections_that_a_child_has_too(number):
    with staying() as server:
        with server.connect() as idle:
            assert idle.get("/pid").status == 200
            assert server.get("/outlive").text == "started"
            server.signal(number)
            assert server.wait_exit() == 0
            assert idle.rest() == b""
        assert processes.alive(children(server)[0])


def test_a_response_that_breaks_off_is_a_reset_also_then():
    with staying(expects=[r"broken off"]) as server:
        with server.connect() as client:
            client.send(b"GET /broken HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                while client.socket.recv(1000):
                    pass


@THREADS
def test_a_child_hears_its_signals_itself(flags):
    with Server(OXICORN, "forking:application", *flags) as server:
        pid = server.get("/pid").text
        assert server.get("/terminate").text == "-15"
        assert server.get("/pid").text == pid
        assert "draining" not in server.error_text()


IMPORT = """
import os
if os.fork():
    os.wait()
from lifecycle import application
"""


@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["one", "preload"])
def test_a_child_of_the_import_is_no_worker(flags):
    with Server(OXICORN, "imports:application", *flags, "--pythonpath", "{folder}", files={"imports.py": IMPORT}) as server:
        pid = server.get("/pid").text
        assert {server.get("/pid").text for _ in range(20)} == {pid}
        assert server.error_text().count("Booting worker") == 1
        until("its child has gone", lambda: processes.children(int(pid)) == [])
