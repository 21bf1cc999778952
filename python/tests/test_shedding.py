"""Load shedding with WSGI workers: what would wait too long gets 503, is counted, and the connection stays."""

import collections
import contextlib
import os
import select
import threading
from signal import SIGHUP, SIGKILL

import pytest

from harness import OXICORN, Broken, Closed, Gate, Server, until
from harness.control_client import status

APP = """
import time
def application(environ, start_response):
    what, _, milliseconds = environ["PATH_INFO"].strip("/").partition("/")
    if what == "sleep":
        time.sleep(int(milliseconds) / 1e3)
    elif what == "compute":
        end = time.thread_time() + int(milliseconds) / 1e3
        while time.thread_time() < end:
            pass
    body = environ["wsgi.input"].read() or b"done"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


# On a busy machine few are served; in seconds.
LONG = 300


def server(*args, app="shedding_app:application", **more):
    return Server(OXICORN, app, "--timeout", "0", *args, files={"shedding_app.py": APP}, **more)


def refused(it):
    return status(it)["requests"]["refused"]


def hold(it, gate):
    """A connection whose request is inside the application. On a busy machine the thread may begin too late for one."""
    client = it.connect()
    while True:
        client.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % gate.target.encode())
        until("a request that is held or refused", lambda: gate.is_held() or select.select([client.socket], [], [], 0)[0])
        if gate.is_held():
            return client
        assert client.answer().status == 503


def test_while_a_view_holds_the_thread_the_others_are_refused_in_time():
    with Gate() as gate, server("--queue-timeout", "0.3", "--health-path", "/health", app="lifecycle:application", env=gate.env) as it:
        holds, client = hold(it, gate), it.connect()
        before = refused(it)["queue_timeout"]
        for count in range(1, 4):
            answer = client.request("POST", "/pid", b"a body")
            assert answer.status == 503 and int(answer.field("Retry-After")) >= 1
            assert client.get("/health").status == 200
            assert refused(it)["queue_timeout"] == before + count
        gate.open()
        assert holds.answer().status == 200
        until("a request is served", lambda: client.get("/pid").status == 200)


@pytest.mark.timeout(2 * LONG)
@pytest.mark.parametrize(("path", "shape"), [("/sleep/20", ("2", "2")), ("/compute/5", ("2", "1")), ("/compute/5", ("1", "2"))])
def test_an_overload_is_survived_and_counted(path, shape):
    workers, threads = shape
    with server("--workers", workers, "--threads", threads, "--queue-timeout", "0.1", "--max-queue", "20") as it:
        # The start has asked, too.
        before = sum(refused(it).values())
        counts = overload(it, path, 40, lambda counts: counts[200] >= 100 and counts[503] > 0)
        assert counts[503] > 0 and set(counts) == {200, 503}, counts
        until("all refusals are counted", lambda: sum(refused(it).values()) == before + counts[503])
        # On a busy machine a thread that is free may begin late.
        until("a request is served", lambda: it.get("/").text == "done")


@pytest.mark.timeout(2 * LONG)
def test_under_overload_a_worker_may_be_killed_and_all_may_be_replaced():
    with server("--workers", "2", "--queue-timeout", "0.2", "--max-queue", "20", expects=["was killed"]) as it:
        old = until("two workers", lambda: workers if len(workers := it.workers()) == 2 else None)
        state = {"step": "overload", "killed": None}

        def done(counts):
            if state["step"] == "overload" and counts[503] > 100:
                it.signal(SIGHUP)
                state["step"] = "reload"
            elif state["step"] == "reload" and len(new := it.workers()) == 2 and not set(new) & set(old):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(new[0], SIGKILL)
                state["killed"] = new[0]
                state["step"] = "killed"
            elif state["step"] == "killed" and len(new := it.workers()) == 2 and state["killed"] not in new:
                state["step"] = "again"
                state["goal"] = counts[200] + 50
            return state["step"] == "again" and counts[200] >= state["goal"]

        counts = overload(it, "/sleep/10", 40, done)
        # Those that the killed worker had.
        assert counts.pop("lost", 0) <= 40 and set(counts) == {200, 503}, counts
        until("nobody waits", lambda: status(it)["connections"]["queued"] == 0)
        # On a busy machine a thread that is free may begin late.
        until("a request is served", lambda: it.get("/").text == "done")


def overload(it, path, clients, done):
    """Clients ask without pause until `done`, which is called by one of them. Returns answers by status."""
    counts, lock, over = collections.Counter(), threading.Lock(), threading.Event()

    def client():
        connection = it.connect()
        while not over.is_set():
            try:
                answer = connection.get(path)
            except (OSError, Broken, Closed):
                with lock:
                    counts["lost"] += 1
                connection.close()
                connection = it.connect()
                continue
            with lock:
                counts[answer.status] += 1
            if answer.status == 503:
                over.wait(0.01)
        connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until("enough of the overload", lambda: done(counts), LONG)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    return counts
