"""prometheus_client's multiprocess mode: metrics of an application over all of its workers, beside the server's own."""

import os
import re
from signal import SIGHUP, SIGKILL

import pytest

from harness import OXICORN, Client, Server, until

APP = """
import os
from prometheus_client import CollectorRegistry, Counter, Gauge, make_wsgi_app, multiprocess

ASKED = Counter("app_asked", "Requests of this application")
HERE = Gauge("app_here", "Workers", multiprocess_mode="liveall")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return make_wsgi_app(registry)(environ, start_response)
    if environ["PATH_INFO"] == "/asked":
        ASKED.inc()
        HERE.set(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""

# As docs/monitoring.md has it.
CONFIG = """
from prometheus_client import multiprocess


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""


def asked(server):
    return int(float(re.search(r"^app_asked_total (\S+)$", server.get("/metrics").text, re.MULTILINE)[1]))


def here(server):
    return {int(pid) for pid in re.findall(r'^app_here\{pid="(\d+)"\} 1\.0$', server.get("/metrics").text, re.MULTILINE)}


def ask_all(server, workers):
    """The number of requests that it took until each worker had answered one."""
    answered, count = set(), 0
    while answered != workers:
        answered.add(int(server.get("/asked").text))
        count += 1
    return count


def served(server):
    """The requests that the server has counted."""
    with Client(str(server.folder / "admin.sock")) as client:
        text = client.get("/metrics", "Connection: close\r\n").body.decode()
    assert "app_" not in text
    return sum(float(count) for count in re.findall(r"^oxicorn_requests_total\{.*\} (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("flags", [(), ("--preload",)], ids=["own", "preloaded"])
def test_totals_of_all_workers_and_of_those_that_are_gone(tmp_path, flags):
    files = {"app.py": APP, "conf.py": CONFIG}
    server = Server(
        OXICORN, "app:application", "-c", "{folder}/conf.py", "--admin-bind", "unix:{folder}/admin.sock", "--workers", "2",
        *flags, files=files, expects=["was killed by SIGKILL"], env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
    )
    with server:
        def two(others=()):
            return until("two workers", lambda: len(found := set(server.workers())) == 2 and not found & set(others) and found)

        workers = two()
        total = ask_all(server, workers)
        assert asked(server) == total and here(server) == workers
        victim = min(workers)
        os.kill(victim, SIGKILL)
        workers = two([victim])
        total += ask_all(server, workers)
        assert asked(server) == total
        until("nothing of the dead worker", lambda: here(server) == workers)
        server.signal(SIGHUP)
        workers = two(workers)
        total += ask_all(server, workers)
        assert asked(server) == total
        until("nothing of the old workers", lambda: here(server) == workers)
        # Both keep their counts: the server's has the requests for the application's figures, too.
        before = served(server)
        assert before > total
        assert asked(server) == total
        # A response is counted when it has been sent: the last ones may be missing in `before`.
        until("one more", lambda: served(server) > before)
