"""The differential suite with other settings: first request by request, then whole servers."""

import contextlib
import os
import ssl

import pytest

from cases import get, observe
from cases.settings import GROUPS
from harness import APPS, Pair, Scenarios, Server, both, compare, until


@pytest.mark.parametrize("group", GROUPS)
def test_group(group):
    """One pair of servers per group. All cases run, so that one failure does not hide the next."""
    flags, cases = GROUPS[group]
    ready = "proxy" not in group and group != "root-path" and group != "script-name-variable"
    failures = []
    args = ["--worker-class", "gthread", "--threads", "2", "--keep-alive", "30", *flags]
    with Pair("mirror:application", *args, expects=[r""], ready=ready) as pair:
        for case in cases:
            try:
                compare(f"settings/{group}/{case.name}", *pair.observe(lambda server: observe(server, case)))
            except AssertionError as failure:
                failures.append(str(failure))
    assert not failures, "\n".join(failures)


settings = Scenarios("settings")


@settings("--bind", "127.0.0.2:0")
def two_addresses(server):
    addresses = until("two sockets", lambda: (found := server._listens()) and len(found) == 2 and found)
    facts = {}
    for number, server.address in enumerate(sorted(addresses)):
        facts[f"{number}"] = server.get("/ready").status
    return facts


@settings(bind="unix:{folder}/socket", app="mirror:application")
def unix_socket(server):
    facts = observe(server, get("unix", "/path", host="Host: example.org:81", status=200))
    mode = os.stat(server.unix).st_mode & 0o777
    return {**facts, "mode": f"{mode:o}"}


@settings("--umask", "007", bind="unix:{folder}/socket")
def unix_socket_under_a_umask(server):
    return {"mode": f"{os.stat(server.unix).st_mode & 0o777:o}", "umask": server.get("/umask").text}


@settings.by_kind
def unix_socket_left(kind):
    with Server(kind, "lifecycle:application", bind="unix:{folder}/socket") as server:
        path = server.unix
        server.process.terminate()
        server.wait_exit()
        return {"left": os.path.exists(path)}


@settings("--chdir", "/", "--pythonpath", "/one,/two", "--env", "COLOUR=red", "--env", "EMPTY=")
def surroundings(server):
    return {"cwd": server.get("/cwd").text, "red": server.get("/env/COLOUR").text, "empty": server.get("/env/EMPTY").text}


@settings("--pid", "{folder}/pid")
def pid_file(server):
    path = server.folder / "pid"
    facts = {"content": path.read_text() == f"{server.pid}\n", "mode": f"{path.stat().st_mode & 0o777:o}"}
    server.process.terminate()
    return {**facts, "exit code": server.wait_exit(), "left": path.exists()}


@settings("--preload", "--workers", "2", "--threads", "2")
def preload(server):
    until("both workers", lambda: len(server.workers()) == 2)
    # Several, because one worker may get a few in a row.
    loads = {server.get("/load").text for _ in range(300)}
    return {"loaded once": len(loads) == 1, "loaded by": server.get("/loaded-by").text}


@settings("--workers", "2", env={"WEB_CONCURRENCY": "3"})
def web_concurrency_loses_to_a_flag(server):
    until("two", lambda: len(server.workers()) == 2)
    return {"workers": len(server.workers())}


@settings(env={"WEB_CONCURRENCY": "3"})
def web_concurrency(server):
    until("three", lambda: len(server.workers()) == 3)
    return {"workers": len(server.workers())}


@settings(files={"gunicorn.conf.py": "workers = 3\n"})
def config_file_by_default(server):
    until("three", lambda: len(server.workers()) == 3)
    return {"workers": len(server.workers())}


@settings("--config", "python:conf_module", "--pythonpath", str(APPS), files={"conf_module.py": "workers = 3\n"}, path=".")
def config_module(server):
    until("three", lambda: len(server.workers()) == 3)
    return {"workers": len(server.workers())}


@settings(bind=None, app=None, files={"gunicorn.conf.py": "bind = '127.0.0.1:0'\nwsgi_app = 'lifecycle:application'\nimport os\nworkers = len('ab')\nignored = object()\n"})
def config_file_alone(server):
    until("two", lambda: len(server.workers()) == 2)
    return {"workers": len(server.workers())}


@settings("--config", "{folder}/conf.py", "--workers", "1", files={"conf.py": "workers = 3\nthreads = 2\n"}, env={"GUNICORN_CMD_ARGS": "--workers 2 --env COLOUR=blue"})
def precedence(server):
    server.wait_ready()
    return {"workers": len(server.workers()), "colour": server.get("/env/COLOUR").text}


@settings("--max-requests", "5", "--workers", "1")
def max_requests(server):
    seen = []
    until("a third worker", lambda: seen.append(server.get("/pid").text) or len(set(seen)) == 3)
    lengths = [seen.count(pid) for pid in dict.fromkeys(seen)]
    # oxicorn's worker goes on serving until its replacement is ready, so it may serve a few more.
    return {"the second serves its five": lengths[1] >= 5}


@settings("--worker-class", "sync", "--timeout", "1", "--workers", "1", expects=[r""])
def timeout(server):
    (old,) = server.workers()
    with server.connect() as client:
        try:
            answered = client.get("/sleep/60").status
        except Exception as error:
            answered = type(error).__name__
    until("another worker", lambda: server.get("/pid").text != str(old))
    return {"answered": answered, "told": any("timeout" in line.message.lower() for line in server.errors())}


def keep_alive_of(server):
    with server.connect() as client:
        client.get("/ready")
        client.socket.settimeout(5)
        try:
            return {"ends": client.rest() == b""}
        except TimeoutError:
            return {"ends": False}


@settings("--worker-class", "gthread", "--threads", "2", "--keep-alive", "1")
def keep_alive(server):
    return keep_alive_of(server)


def test_tls(certificates):
    flags = ["--certfile", str(certificates / "cert.pem"), "--keyfile", str(certificates / "key.pem")]
    context = ssl.create_default_context(cafile=certificates / "cert.pem")

    def scenario(kind):
        with Server(kind, "mirror:application", "--worker-class", "gthread", "--threads", "2", *flags, ready=False, expects=[r""]) as server:
            plain, server.connect = server.connect, lambda *_: plain(tls=context)
            until("a worker", lambda: server.workers())
            facts = observe(server, get("tls", "/path", status=200))
            with plain() as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                with contextlib.suppress(OSError):
                    facts["plain text is answered"] = client.rest()[:5] == b"HTTP/"
            facts["serves on"] = server.get("/ready").status
            with server.connect() as client:
                facts["version"] = client.socket.version()
            return facts
    compare("settings/tls", *both(scenario))


test_settings = settings.test()
