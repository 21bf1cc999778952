"""What hooks can do with their arguments: server, worker, request and response."""

import json
import os
import subprocess
import sys
from signal import SIGHUP, SIGTTIN

import pytest

from harness import OXICORN, Scenarios, Server, processes, until
from harness.server import environment_of

objects = Scenarios("hook-objects")

TELL = """
import json, os

def tell(**facts):
    with open(os.path.join(os.environ["HOME"], "told"), "a") as file:
        file.write(json.dumps(facts) + "\\n")
"""


def told(server):
    place = server.folder / "told"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def facts_of(server, name):
    return until(name, lambda: next((facts[name] for facts in told(server) if name in facts), None))


RETIRE = """
def post_request(worker, req, environ, resp):
    if req.path == "/sleep/0":
        worker.alive = False
"""


@objects("-c", "{folder}/conf.py", files={"conf.py": RETIRE})
def a_worker_that_is_not_alive_is_replaced(server):
    old = server.workers()
    served = server.get("/sleep/0").text
    until("another worker", lambda: server.workers() and not set(old) & set(server.workers()))
    server.wait_ready()
    return {"served": served, "workers": len(server.workers())}


WRAP = """
def post_worker_init(worker):
    application = worker.wsgi

    def wrapped(environ, start_response):
        def start(status, headers):
            return start_response(status, [*headers, ("X-Wrapped", environ["REQUEST_METHOD"])])
        return application(environ, start)

    worker.wsgi = wrapped
"""


@objects("-c", "{folder}/conf.py", files={"conf.py": WRAP})
def the_application_of_a_worker_can_be_wrapped(server):
    return {"field": server.get("/sleep/0").field("X-Wrapped")}


SOCKETS = TELL + """
import socket

def told_of(listener):
    name = listener.getsockname()
    return [listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), name[0], name[1] > 0, listener.fileno() > 2]

def when_ready(server):
    tell(master=[told_of(listener) for listener in server.LISTENERS])
def post_worker_init(worker):
    tell(worker=[told_of(listener) for listener in worker.sockets])
def post_request(worker, req, environ, resp):
    if req.path == "/pid":
        tell(connections=worker.nr_conns > 0)
"""


@objects("-c", "{folder}/conf.py", "--threads", "2", files={"conf.py": SOCKETS})
def sockets_and_connections(server):
    server.get("/pid")
    return {name: facts_of(server, name) for name in ("master", "worker", "connections")}


TRACED = """
import sys
import threading

SEEN = set()


def trace(frame, event, argument):
    SEEN.add(frame.f_code.co_name)


def profile(frame, event, argument):
    SEEN.add("profiled " + frame.f_code.co_name)


def traced():
    pass


def application(environ, start_response):
    traced()
    body = repr(sorted(name for name in list(SEEN) if name.endswith("traced"))).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


threading.settrace(trace)
threading.setprofile(profile)
"""


@objects("--threads", "2", "--pythonpath", "{folder}", app="traced:application", files={"traced.py": TRACED})
def tracing_of_threads(server):
    return {"traced": server.get("/").text}


CHANGES = """
def pre_request(worker, req):
    if req.path == "/plain":
        return
    if req.path == "/proxied":
        req.headers.append(("X-SCHEME", req.scheme))
        return
    req.headers.append(("X-REQUEST-ID", "7"))
    req.headers.append(("X-TWICE", "b"))
    req.headers[:] = [field for field in req.headers if field[0] != "X-SECRET"]
    req.method, req.uri, req.path, req.query, req.scheme = "PUT", "/other%20one?x", "/other%20one", "x", "https"
"""
ECHO = """
import json

NAMES = (
    "REQUEST_METHOD", "RAW_URI", "PATH_INFO", "QUERY_STRING", "wsgi.url_scheme", "HTTP_X_REQUEST_ID", "HTTP_X_TWICE",
    "HTTP_X_SECRET", "HTTP_X_OTHER", "HTTP_X_SCHEME", "CONTENT_TYPE", "HTTP_HOST",
)


def application(environ, start_response):
    body = json.dumps({name: environ.get(name) for name in NAMES}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@objects("-c", "{folder}/conf.py", "--pythonpath", "{folder}", app="echo:application", files={"conf.py": CHANGES, "echo.py": ECHO})
def the_application_sees_what_pre_request_changes(server):
    fields = "Host: a\r\nX-Twice: a\r\nX-Secret: b\r\nX-Other: c\r\nX-Other: d\r\nContent-Type: e\r\nConnection: close\r\n\r\n"
    facts = {}
    for path, more in (("/plain", ""), ("/changed", ""), ("/proxied", "X-Forwarded-Proto: https\r\n")):
        with server.connect() as client:
            client.send(f"GET {path} HTTP/1.1\r\n{more}{fields}".encode())
            facts[path] = json.loads(client.answer().text)
    return facts


PROGRAM = """
import json
import sys

from {kind}.app.base import BaseApplication


class Standalone(BaseApplication):
    def load_config(self):
        for name, value in json.loads(sys.argv[1]).items():
            self.cfg.set(name, value)

    def load(self):
        return None


cfg = Standalone().cfg
names = ("address", "env", "uid", "gid", "worker_class_str", "workers", "bind", "preload_app", "timeout", "user")
print(json.dumps({{name: getattr(cfg, name) for name in names}} | {{"is_ssl": bool(cfg.is_ssl)}}))
"""


def program(kind, tmp_path, settings):
    (tmp_path / f"{kind}_program.py").write_text(PROGRAM.format(kind=kind))
    return subprocess.run(
        [sys.executable, f"{kind}_program.py", json.dumps(settings)], cwd=tmp_path, env=environment_of(), capture_output=True,
        text=True, check=False, timeout=30,
    )


@pytest.mark.parametrize("settings", [
    {},
    {"bind": "127.0.0.1:8001", "raw_env": ["A=b", "C=d=e"], "workers": "3", "threads": 4},
    {"bind": ["[::1]:80", "unix:/tmp/socket"], "preload_app": True, "timeout": 7, "user": "root", "group": 0},
], ids=["nothing", "texts", "lists"])
def test_settings_of_a_program(tmp_path, settings):
    theirs, ours = (json.loads(program(kind, tmp_path, settings).stdout) for kind in ("gunicorn", "oxicorn"))
    assert [list(pair) if isinstance(pair, list) else pair for pair in theirs["address"]] == ours["address"]
    assert {**theirs, "user": 0} == {**ours, "user": 0}


@pytest.mark.parametrize("settings, expected", [
    ({"workers": "many"}, "workers = many"), ({"timeout": -1}, "timeout"), ({"nothing": 1}, "nothing"),
    ({"when_ready": 3}, "when_ready"),
])
def test_a_program_is_told_what_it_sets_wrongly(tmp_path, settings, expected):
    for kind in ("gunicorn", "oxicorn"):
        ended = program(kind, tmp_path, settings)
        assert ended.returncode == 1, (kind, ended)
    assert "Error: " in ended.stderr and expected in ended.stderr, ended.stderr


EXITS = TELL + """
def child_exit(server, worker):
    tell(exit=worker.pid)
"""


def test_the_process_of_a_preloaded_application_has_its_exit_told():
    with Server(OXICORN, "lifecycle:application", "--preload", "-c", "{folder}/conf.py", files={"conf.py": EXITS}) as server:
        mold = [pid for pid in processes.children(server.pid) if "mold" in processes.title(pid)]
        worker = server.workers()
        server.signal(SIGHUP)
        until("both", lambda: {*mold, *worker} <= {facts["exit"] for facts in told(server)})


OWN = TELL + """
import subprocess
import threading

FIRST = SECOND = None

def begin():
    global SECOND
    SECOND = subprocess.Popen(["sh", "-c", "exit 9"])

def on_starting(server):
    global FIRST
    FIRST = subprocess.Popen(["sh", "-c", "exit 7"])
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()

AT_READING = subprocess.Popen(["sh", "-c", "exit 8"])

def nworkers_changed(server, new, old):
    if old is not None and new > 1:
        tell(codes=[AT_READING.wait(), FIRST.wait(), SECOND.wait()])
"""


@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["alone", "preload"])
def test_the_children_of_the_config_file_are_its_own(flags):
    with Server(OXICORN, "lifecycle:application", *flags, "-c", "{folder}/conf.py", files={"conf.py": OWN}) as server:
        # Meanwhile the master reaps a worker.
        old = server.get("/pid").text
        os.kill(int(old), 9)
        until("another worker", lambda: server.workers() and server.get("/pid").text != old)
        server.signal(SIGTTIN)
        assert facts_of(server, "codes") == [8, 7, 9]
        server.expects.append(r"killed by SIGKILL")


test_hook_objects = objects.test()
