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


# A handler that keeps its stream's lock for a while, as on a slow disk.
SLOW_LOG = """
import io
import logging
import os
import time


class Slow(io.RawIOBase):
    def __init__(self):
        self.file = open("slow.log", "ab", buffering=0)

    def writable(self):
        return True

    def write(self, octets):
        time.sleep(0.2)
        return self.file.write(octets)


log = logging.getLogger("gunicorn.error")
handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(Slow())))
handler.setFormatter(logging.Formatter("%(process)d %(message)s"))
"""
LOGGING_CHILD = SLOW_LOG + """

log.addHandler(handler)
logging.getLogger("gunicorn.access").addHandler(handler)


def application(environ, start_response):
    # The line of the request before is written now.
    time.sleep(0.1)
    child = os.fork()
    if not child:
        log.warning("of the child")
        os._exit(3)
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, 9)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.waitstatus_to_exitcode(ended[1]) if ended[0] else "hangs").encode()]
"""


@THREADS
def test_a_child_can_use_a_handler_that_was_writing(flags):
    files = {"logging_child.py": LOGGING_CHILD}
    with Server(OXICORN, "logging_child:application", *flags, "--pythonpath", "{folder}", files=files, ready=False) as server:
        assert [server.get("/").text for _ in range(3)] == ["3"] * 3
        written = (server.folder / "slow.log").read_text()
    assert written.count("of the child") == 3, written


def test_workers_can_use_a_handler_that_was_writing_in_their_mold():
    files = {"gunicorn.conf.py": SLOW_LOG + "def when_ready(server):\n    log.addHandler(handler)\n"}
    with Server(OXICORN, "lifecycle:application", "--preload", "--workers", "3", files=files, ready=False) as server:
        workers = until("three workers", lambda: len(found := server.workers()) == 3 and found)
        read = (server.folder / "slow.log").read_text
        until("their records", lambda: all(f"{pid} Booting worker" in read() for pid in workers))
        server.process.terminate()
        server.wait_exit()
        for pid in workers:
            assert read().count(f"{pid} Worker exiting") == 1, read()
        assert len(set(read().splitlines())) == len(read().splitlines()), read()


BUSY_LOGGERS = """
import logging
import os
import threading
import time

log = logging.getLogger("gunicorn.error")


def application(environ, start_response):
    # On one processor a thread loses it in the middle of anything.
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            log.info("busy")

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    hangs = 0
    for _ in range(1000):
        child = os.fork()
        if not child:
            log.info("of the child")
            os._exit(0)
        deadline = time.monotonic() + 10
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                hangs += 1
                break
            time.sleep(0.0005)
    stop.set()
    for thread in threads:
        thread.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(hangs).encode()]
"""


def test_a_child_can_log_while_other_threads_do():
    files = {"busy_loggers.py": BUSY_LOGGERS}
    flags = ["--threads", "2", "--timeout", "0", "--pythonpath", "{folder}"]
    with Server(OXICORN, "busy_loggers:application", *flags, files=files, ready=False) as server:
        assert server.get("/").text == "0"
        assert server.error_text().count("of the child") == 1000
