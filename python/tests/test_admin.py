"""The admin process beside WSGI workers: it answers whatever Python does, and runs none itself."""

import json
import os
import re
from signal import SIGHUP, SIGKILL

import pytest

from harness import OXICORN, Client, Gate, Server, lock_held, processes, until

# Writes down which processes run code of the config file, and that of atexit.
CONFIG = """
import atexit
import os


def note(what):
    with open(os.path.join(os.environ["HOME"], "notes"), "a") as file:
        print(os.getpid(), what, file=file)


atexit.register(note, "atexit")


def post_fork(server, worker):
    note("post_fork")


def worker_exit(server, worker):
    note("worker_exit")


def child_exit(server, worker):
    note(f"child_exit {worker.pid}")
"""

LOGGING = """
logconfig_dict = {
    "version": 1,
    "formatters": {"own": {"format": "%(process)d %(message)s"}},
    "handlers": {"own": {"class": "logging.FileHandler", "filename": "records", "formatter": "own"}},
    "root": {"level": "INFO", "handlers": ["own"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["own"], "propagate": False}},
}
"""


def started(app, *args, **more):
    return Server(OXICORN, app, "--admin-bind", "unix:{folder}/admin.sock", *args, **more)


def ask(server, target, fields=""):
    with Client(str(server.folder / "admin.sock")) as client:
        return client.get(target, f"Connection: close\r\n{fields}")


def admins(server):
    return [pid for pid in processes.children(server.pid) if "oxicorn: admin" in processes.title(pid)]


def status(server):
    return json.loads(ask(server, "/status").body)


@pytest.mark.parametrize("preload", [False, True])
def test_it_tells_what_threads_do_while_all_are_held(preload):
    with Gate() as gate:
        flags = ["--preload"] if preload else []
        with started("lifecycle:application", "--workers", "2", "--threads", "2", *flags, env=gate.env) as server:
            clients = [server.connect() for _ in range(4)]
            for client in clients:
                client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

            def threads():
                workers = [child for child in status(server)["workers"] if child["kind"] == "worker"]
                return [thread for worker in workers for thread in worker["threads"]]

            until("four that run", lambda: [thread["state"] for thread in threads()] == ["running"] * 4)
            assert {thread["request"]["path"] for thread in threads()} == {gate.target}
            assert b'oxicorn_threads{state="running"} 4\n' in ask(server, "/metrics").body
            gate.open()
            for client in clients:
                assert client.answer().status == 200


def test_it_answers_while_a_worker_never_lets_go_of_the_interpreter():
    expects = ["timed out", "was killed", "while it drained", "timeout"]
    with started("lock_holder:application", "--timeout", "2", "--graceful-timeout", "1", expects=expects) as server, lock_held(server):
        for _ in range(20):
            assert ask(server, "/healthz").status == 200
            assert b"oxicorn_workers_target 1\n" in ask(server, "/metrics").body


@pytest.mark.parametrize("preload", [False, True])
def test_it_runs_no_code_of_the_config_file(preload):
    flags = ["--preload"] if preload else []
    with started("lifecycle:application", "-c", "conf.py", *flags, files={"conf.py": CONFIG}, expects=["Admin process"]) as server:
        seen = admins(server)
        os.kill(seen[0], SIGKILL)
        seen += until("another", lambda: [pid for pid in admins(server) if pid not in seen])
        assert ask(server, "/ready").status == 200
        server.signal(SIGHUP)
        until("generation 2", lambda: "Generation 2 serves" in server.error_text())
        seen += until("a new one alone", lambda: len(admins(server)) == 1 and [pid for pid in admins(server) if pid not in seen])
        server.signal(15)
        server.wait_exit()
        notes = (server.folder / "notes").read_text().splitlines()
        assert any(line.endswith("atexit") for line in notes)
        assert len(seen) == 3 and len({line.split()[0] for line in notes}) > 2
        for pid in seen:
            assert not re.search(rf"\b{pid}\b", "\n".join(notes))


def test_its_lines_go_to_the_log_and_not_through_python():
    with started("lifecycle:application", "-c", "conf.py", files={"conf.py": LOGGING}) as server:
        (pid,) = until("an admin process", lambda: admins(server))
        assert ask(server, "/ready").status == 200
        assert f"[{pid}] [INFO] Booting admin process with pid: {pid}" in server.error_text()
        records = (server.folder / "records").read_text()
        assert "Booting worker" in records
        assert not re.search(rf"^{pid} ", records, re.M)


def test_it_works_in_the_background_and_ends_with_the_server():
    with Server(OXICORN, "lifecycle:application", "--workers", "2", "-R", "--admin-bind", "unix:{folder}/admin.sock") as server:
        def figures():
            return ask(server, "/metrics").body.decode()

        until("two workers", lambda: 'oxicorn_workers{state="ready"} 2\n' in figures())
        # The start has asked, and a response is counted when it has been sent.
        first = r'^oxicorn_requests_total\{method="GET",code="200"\} (\d+)$'
        before = int(until("the first request", lambda: re.search(first, figures(), re.M))[1])
        for _ in range(5):
            server.get("/pid")
        until("five more", lambda: f'code="200"}} {before + 5}\n' in figures())
        assert [child["kind"] for child in status(server)["workers"]].count("admin") == 1


def test_a_config_file_sets_it_and_a_token_that_no_hook_sees():
    config = """
admin_bind = "unix:admin.sock"
admin_token = "0123456789abcdef"


def when_ready(server):
    assert server.cfg.admin_bind == ["unix:admin.sock"]
    assert "0123" not in repr(server.cfg.admin_token)
"""
    with Server(OXICORN, "lifecycle:application", "-c", "conf.py", files={"conf.py": config}) as server:
        assert ask(server, "/metrics").status == 401
        assert ask(server, "/metrics", "Authorization: Bearer 0123456789abcdef\r\n").status == 200
