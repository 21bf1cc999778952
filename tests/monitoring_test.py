#!/usr/bin/env python3
"""Our rules and our dashboard on a real Prometheus that scrapes a real server under load.

    cargo build --workspace --examples --bins && python3 -B tests/monitoring_test.py

A machine under load delays scrapes, and servers miss a beat: nothing is compared before it had time to settle.
"""

import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

from client_threads import ClientThreads
from prometheus_test import OFTEN, ROOT, Prometheus, documented, promtool, queries, until

sys.path.insert(0, str(ROOT / "scripts"))

from services_lib.folder import Folder

BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
# Of the dashboard; a server may never have had what they show.
MAY_BE_EMPTY = {"Errors by status"}
TASKS = "/api/v1/eventstreammonitor/tasks"
CLIENTS = 3
# What a stuck worker, its replacement and its alerts may take, in seconds.
LONG = 180


class Oxicorn:
    """A server with its admin process. `target` is what Prometheus scrapes."""

    def __init__(self, program, *words):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-monitoring-test-"))
        ports = Folder(self.folder)
        self.port, admin = ports.free_port(), ports.free_port()
        self.target = f"127.0.0.1:{admin}"
        flags = ["--bind", f"127.0.0.1:{self.port}", "--admin-bind", self.target, "--error-logfile", "log", *words]
        self.process = subprocess.Popen([BUILT / program, *flags], cwd=self.folder, start_new_session=True)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)
            until("a server that is ready", self.ready, LONG)
            stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print((self.folder / "log").read_text(), file=sys.stderr)
        self.end()

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder)

    def ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            return self.admin("/ready")

    def admin(self, path):
        with urllib.request.urlopen(f"http://{self.target}{path}", timeout=30) as response:
            return response.read().decode()


class ApiClients(ClientThreads):
    """They make tasks, read them, and ask for what is not there."""

    def __init__(self, port):
        super().__init__(CLIENTS, LONG)
        self.port = port

    def run(self, number):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            self.ask(connection)

    def ask(self, connection):
        body = json.dumps({"userId": 7, "taskType": "data_processing"})
        while not self.done.wait(0.01):
            # As a proxy has it.
            sent = {"X-Request-Start": f"t={time.time():.6f}", "Content-Type": "application/json"}
            for method, path in (("POST", TASKS), ("GET", TASKS), ("GET", f"{TASKS}/1000"), ("GET", "/nowhere")):
                connection.request(method, path, body if method == "POST" else None, sent)
                connection.getresponse().read()


def prometheus_of(server):
    return Prometheus({**OFTEN, "127.0.0.1:9108": server.target})


class ServedDashboard(unittest.TestCase):
    def test_each_query_has_data(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as rules, contextlib.ExitStack() as stack:
            rules.write("generous 10000/s\n")
            rules.flush()
            server = stack.enter_context(Oxicorn(
                "oxicorn", "--workers", "2", "--threads", "2", "--rate-limits", rules.name, "native:eventstreammonitor",
            ))
            text = server.admin("/metrics")
            promtool("check", "metrics", text=text)
            self.assertEqual(set(re.findall(r"^# TYPE (oxicorn_\w+)", text, re.MULTILINE)), documented())
            with prometheus_of(server) as prometheus, ApiClients(server.port):
                for panel, query in queries():
                    with self.subTest(panel, query=query):
                        def found(query=query):
                            return [value for _, value in prometheus.query(query) if math.isfinite(value)]
                        if panel in MAY_BE_EMPTY:
                            found()
                        else:
                            until(f"{panel}: data for {query}", found, LONG)
                until("none of them is of a server that does well", lambda: firing(prometheus) == set(), LONG)


class ServedAlerts(unittest.TestCase):
    def test_an_alert_fires_when_a_worker_is_stuck(self):
        words = ("--workers", "1", "--threads", "2", "--timeout", "5", "--graceful-timeout", str(LONG))
        with Oxicorn("examples/lab", *words) as server, prometheus_of(server) as prometheus:
            until("a scrape", lambda: prometheus.query('oxicorn_workers{state="ready"} == 1'), LONG)
            until("no alert", lambda: firing(prometheus) == set(), LONG)
            # A worker that has nothing else to do ends as soon as its stuck request has been answered.
            with contextlib.closing(stream(server.port)) as busy:
                threading.Thread(target=drink, args=(busy,), daemon=True).start()
                threading.Thread(target=stuck, args=(server.port,), daemon=True).start()
                until("OxicornWorkerStuck", lambda: "OxicornWorkerStuck" in firing(prometheus), LONG)
                # For its thread, not for an event loop that the machine has kept waiting.
                until("a stuck thread", lambda: prometheus.query('max_over_time(oxicorn_threads{state="stuck"}[10m]) > 0'), LONG)
                busy.shutdown(socket.SHUT_RDWR)
            # And when the worker has gone, its replacement is not stuck.
            until("OxicornWorkersTimeOut alone", lambda: firing(prometheus) == {"OxicornWorkersTimeOut"}, LONG)

    def test_an_alert_fires_when_a_server_is_gone(self):
        with Oxicorn("examples/lab") as server, prometheus_of(server) as prometheus:
            until("a scrape", lambda: prometheus.query("up == 1"), LONG)
            os.killpg(server.process.pid, signal.SIGKILL)
            until("OxicornDown", lambda: "OxicornDown" in firing(prometheus, states=("pending", "firing")), LONG)


def stream(port):
    """The socket of a response that has begun and goes on for an hour."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /stream?pieces=14400&ms=250 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def drink(client):
    """Takes all that comes, until the end."""
    with contextlib.suppress(OSError):
        while client.recv(4096):
            pass


def stuck(port):
    """A request that the application does not come back from; what it is answered is not the point."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
            connection.request("GET", "/sleep?ms=3600000")
            connection.getresponse().read()


def firing(prometheus, states=("firing",)):
    return {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"] if alert["state"] in states}


if __name__ == "__main__":
    unittest.main()
