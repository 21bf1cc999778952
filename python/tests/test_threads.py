"""Which threads import the application, call it and run its signal handlers; and threads that cannot be started."""

import os
import pathlib
import platform
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

from harness import OXICORN, Scenarios, Server, processes, run, until

threads = Scenarios("threads", app="bound:application")
BOUND = ["/sqlite", "/loop", "/asyncio-run", "/decimal", "/local", "/main", "/alarm", "/deadline", "/kill", "/int", "/term", "/deep"]


def facts(server):
    found = {}
    for path in BOUND:
        found[path] = server.get(path).text
        # The server still serves after the application changed a signal.
        found[f"after {path}"] = server.get("/").text
    return found


@threads()
def sync(server):
    return facts(server)


@threads("--preload")
def sync_preloaded(server):
    return facts(server)


@threads("--threads", "2")
def gthread(server):
    return facts(server)


@threads()
def handler_while_idle(server):
    server.get("/idle")
    until("the handler", lambda: server.get("/handled").text == "[14]")
    return {"handled": True}


@threads()
def end_after_asyncio_run(server):
    answer = server.get("/asyncio-run").text
    # The client has the whole response before the worker has finished the request.
    until("its line", lambda: any("/asyncio-run" in line for line in server.access_lines()))
    server.signal(SIGINT)
    return {"answer": answer, "exit code": server.wait_exit()}


test_threads = threads.test()


def test_a_handler_runs_while_no_request_comes():
    with Server(OXICORN, "bound:application", "--threads", "2") as server:
        assert server.get("/kill").text.startswith("[14")
    with Server(OXICORN, "idle:application", "--pythonpath", "{folder}", files={"idle.py": IDLE}) as server:
        until("the handler has run by itself", (server.folder / "ran").exists)


IDLE = """
import os
import signal

from lifecycle import application


def handle(number, frame):
    open(os.path.join(os.environ["HOME"], "ran"), "w").close()


signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.5)
"""


def test_a_view_does_not_take_a_signal_away_for_ever():
    with Server(OXICORN, "bound:application") as server:
        assert "stolen" in server.get("/steal").text
        old = server.workers()
        # A signal that comes too early reaches the application's handler.
        until("it is the server's again", lambda: [os.kill(pid, SIGTERM) for pid in server.workers() if pid in old] == [])


def ended(server):
    place = server.folder / "ended"
    return [int(line) for line in place.read_text().splitlines()] if place.exists() else []


@pytest.mark.parametrize("flags", [[], ["--preload"], ["--threads", "2"]], ids=["one", "preload", "two"])
def test_a_stuck_request_costs_its_worker_and_nothing_else(flags):
    expects = [r"request timed out after"]
    with Server(OXICORN, "bound:application", "--timeout", "1", *flags, expects=expects) as server:
        old = int(server.get("/pid").text)
        assert server.get("/hang").status == 504
        until("another worker", lambda: int(server.get("/pid").text) != old)
        until("the old one has gone", lambda: not processes.alive(old))
        # However it ended, the process ran its exit functions.
        assert ended(server) == [old]
        assert "in hang" in server.error_text()


def test_a_stuck_request_that_holds_the_interpreter():
    expects = [r"request timed out after", r"killed|SIGKILL|SIGABRT|graceful_timeout"]
    flags = ["--timeout", "1", "--graceful-timeout", "1"]
    with Server(OXICORN, "bound:application", *flags, expects=expects) as server:
        old = int(server.get("/pid").text)
        assert server.get("/hold").status == 504
        until("another worker", lambda: int(server.get("/pid").text) != old)
        until("the old one has gone", lambda: not processes.alive(old))


@pytest.mark.parametrize("number", [SIGTERM, SIGINT], ids=["term", "int"])
def test_the_server_ends_while_its_only_thread_is_stuck(number):
    with Server(OXICORN, "bound:application", "--graceful-timeout", "1", expects=[r"."]) as server:
        pid = int(server.get("/pid").text)
        with server.connect() as client:
            client.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
            until("the application has it", (server.folder / "hangs").exists)
            server.signal(number)
            assert server.wait_exit() == 0
        assert not processes.alive(pid)


def test_max_requests_with_one_thread():
    with Server(OXICORN, "bound:application", "--max-requests", "5") as server:
        seen = set()
        until("three workers, one after the other", lambda: seen.add(server.get("/pid").text) or len(seen) > 2)
        until("the old ones have gone", lambda: len(server.workers()) == 1)
        assert len(ended(server)) >= 2


# Prevents new threads in the process, and returns the error that it gets.
FORBID = '''
import ctypes
import errno
import struct

CLONE, CLONE3 = {numbers}
LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
PROGRAM = [
    (LOAD, 0, 0, 0),
    (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERROR | errno.ENOSYS),
    (EQUAL, 0, 4, CLONE),
    (LOAD, 0, 0, 16), (AND, 0, 0, 0x10000), (EQUAL, 1, 0, 0), (RETURN, 0, 0, ERROR | errno.{error}),
    (RETURN, 0, 0, ALLOW),
]


def post_fork(server, worker):
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in PROGRAM))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0
'''


def forbid(error):
    numbers = {"x86_64": (56, 435), "aarch64": (220, 435)}[platform.machine()]
    return FORBID.replace("{numbers}", repr(numbers)).replace("{error}", error)


@pytest.mark.parametrize("flags, what", [(["--threads", "3"], "request thread 1 of 3"), ([], "the thread that watches")])
@pytest.mark.parametrize("error, advice", [("EAGAIN", "RLIMIT_NPROC|pids.max|RLIMIT_STACK"), ("EPERM", "seccomp")])
def test_threads_that_cannot_be_had_end_the_start(flags, what, error, advice):
    files = {"conf.py": forbid(error)}
    ended = run(OXICORN, "-b", "127.0.0.1:0", "-c", "{folder}/conf.py", *flags, "lifecycle:application", files=files)
    assert ended.code == 3, ended
    assert f"cannot start {what}" in ended.text, ended
    assert any(word in ended.text for word in advice.split("|")), ended


@pytest.mark.parametrize("flags", [["--threads", "3"], []], ids=["three", "one"])
def test_threads_that_cannot_be_had_leave_the_old_generation(flags):
    files = {"conf.py": ""}
    with Server(OXICORN, "lifecycle:application", "-c", "{folder}/conf.py", *flags, files=files, expects=[r"."]) as server:
        old = server.get("/pid").text
        pathlib.Path(server.folder, "conf.py").write_text(forbid("EAGAIN"))
        server.signal(SIGHUP)
        until("the reload has failed", lambda: "cannot start" in server.error_text())
        until("it is given up", lambda: "given up" in server.error_text() or "stays" in server.error_text())
        assert server.workers() == [int(old)]
        assert server.get("/pid").text == old
