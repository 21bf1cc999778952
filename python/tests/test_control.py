"""The control socket: gunicorn's own client against both servers."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest

from harness import OXICORN, Scenarios, Server, until
from harness.control_client import BIN, run, socket
from harness.server import environment_of

control = Scenarios("control")

CONFIG = [
    "workers", "worker_class", "threads", "timeout", "graceful_timeout", "max_requests", "max_requests_jitter", "worker_connections",
    "preload_app", "daemon", "pidfile", "reload", "dirty_workers", "dirty_apps", "dirty_timeout", "control_socket_disable", "bind",
]  # fmt: skip


def gunicornc(server, command, *flags):
    socket(server)
    return run(server, "gunicornc", "-c", command, *flags)


def data(server, command):
    code, out, err = gunicornc(server, command, "-j")
    assert code == 0, err
    return json.loads(out)


def shape(value):
    """What is the same in two servers: texts and keys, but not numbers that differ in each run."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__ if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def of_gunicorn(value, keys):
    """Our answers have more keys than gunicorn's."""
    return {key: value.get(key, "(absent)") for key in keys.split()}


def anonymous(text):
    """Without numbers, and so without the widths of the columns that they are in."""
    return re.sub(r"[ -]+", " ", re.sub(r"\d+(\.\d+)?", "N", text)).strip()


def dialogue(server, text):
    """What is the same in every run, with the lines of JSON in a fixed order. Whether a worker has booted is compared elsewhere."""
    text = anonymous(re.sub(r"\b(yes|no)\b", "?", text.replace(str(server.folder), "")))
    return sorted(line.strip().rstrip(",") for line in text.splitlines())


def settled(server):
    """Waits until both workers have booted; gunicorn's master does not know."""
    def booted():
        return [worker["booted"] for worker in data(server, "show workers")["workers"]]
    until("two workers", lambda: len(booted()) == 2)
    if not server.is_gunicorn:
        until("they have booted", lambda: booted() == [True, True])


def pids(server):
    return {worker["pid"] for worker in data(server, "show workers")["workers"]}


@control("--workers", "2", "--threads", "2")
def show(server):
    settled(server)
    every, workers = data(server, "show all"), data(server, "show workers")
    stats, listeners, config = data(server, "show stats"), data(server, "show listeners"), data(server, "show config")
    assert {worker["pid"] for worker in workers["workers"]} == set(server.workers())
    assert every["arbiter"]["pid"] == stats["pid"] == server.pid
    worker = "pid age booted aborted last_heartbeat"
    return {
        "all": shape(of_gunicorn(every, "arbiter web_worker_count dirty_arbiter dirty_workers dirty_worker_count")),
        "all.web_workers": [shape(of_gunicorn(it, "pid type age booted last_heartbeat")) for it in every["web_workers"]],
        "workers": [shape(of_gunicorn(it, worker)) for it in workers["workers"]],
        "ages": [it["age"] for it in workers["workers"]],
        "stats": shape(of_gunicorn(
            stats, "uptime pid workers_current workers_target workers_spawned workers_killed reloads dirty_arbiter_pid"
        )),
        "counts": of_gunicorn(stats, "workers_current workers_target workers_spawned workers_killed reloads"),
        "listeners": [
            {"address": anonymous(it["address"]), "type": it["type"], "fd": type(it["fd"]).__name__} for it in listeners["listeners"]
        ],
        "dirty": data(server, "show dirty"),
        **{f"config.{key}": config.get(key, "(absent)") for key in CONFIG},
        "control_socket": config["control_socket"] == str(socket(server)),
    }


@control("--workers", "2")
def texts(server):
    settled(server)
    commands = ["show all", "show workers", "show stats", "show listeners", "show dirty", "worker add", "worker remove", "reopen", "SHOW Stats"]
    def seen(command):
        code, out, err = gunicornc(server, command)
        return code, dialogue(server, out), err
    return {command: seen(command) for command in commands}


@control("--workers", "1")
def errors(server):
    commands = ["nonsense", "show", "show me", "worker", "worker of", "worker add x", "worker kill", "worker kill x", "show 'all"]
    facts = {command: gunicornc(server, command) for command in commands}
    facts["worker kill 1"] = data(server, "worker kill 1")
    facts["help"] = set(data(server, "help")["commands"]) >= {
        "show all", "show workers", "show config", "show stats", "show listeners", "worker add [N]", "worker remove [N]",
        "worker kill <PID>", "shutdown [graceful|quick]", "help",
    }
    code, _, err = run(server, "gunicornc", "--socket", str(server.folder / "missing.ctl"), "-c", "help")
    return {**facts, "no server": (code, err.replace(str(server.folder), ""))}


@control("--workers", "1")
def interactive(server):
    socket(server)
    # gunicorn hangs up when it forks, so that the command that makes it fork comes last.
    lines = "show workers\n\nnonsense\nshow stats\nworker add 2\nquit\n"
    code, out, err = run(server, "gunicornc", text=lines)
    until("three workers", lambda: len(server.workers()) == 3)
    as_json = run(server, "gunicornc", "-j", text="show listeners\nexit\n")[1]
    return {"code": code, "out": dialogue(server, out), "err": err, "json": dialogue(server, as_json)}


@control("--workers", "2")
def workers(server):
    def change(command):
        answer = data(server, command)
        until("so many workers", lambda: len(server.workers()) == answer["total"])
        return answer
    facts = {command: change(command) for command in ["worker add 2", "worker remove", "worker remove 99", "worker add", "worker add -5"]}
    old = pids(server)
    victim = min(old)
    answer = data(server, f"worker kill {victim}")
    assert answer.pop("killed") == victim
    until("another in its place", lambda: victim not in pids(server) and len(pids(server)) == len(old))
    return {**facts, "kill": answer, "others stay": old - {victim} <= pids(server)}


@control("--workers", "2")
def reload(server):
    socket(server)
    until("two workers", lambda: len(server.workers()) == 2)
    old = server.workers()
    answer = data(server, "reload")
    until("others", lambda: not set(old) & set(server.workers()) and len(server.workers()) == 2)
    def counted():
        # A reload of gunicorn makes the socket anew.
        code, out, _ = gunicornc(server, "show stats", "-j")
        stats = json.loads(out) if code == 0 else {"reloads": 0}
        return stats["reloads"] == 1 and stats
    return {"answer": answer, "spawned": until("it is counted", counted)["workers_spawned"]}


@control("--workers", "1")
def reopen(server):
    moved = server.folder / "moved.log"
    os.rename(server.access_log, moved)
    answer = data(server, "reopen")
    until("a new file", server.access_log.exists)
    return answer


@pytest.mark.parametrize("mode", ["", "graceful", "quick"])
def test_shutdown_ends_the_server(mode):
    for kind in ["gunicorn", OXICORN]:
        with Server(kind, "lifecycle:application") as server:
            answer = data(server, f"shutdown {mode}".strip())
            assert answer == {"status": "shutting_down", "mode": mode or "graceful"}, kind
            assert server.wait_exit() == 0
            until("no socket left", lambda: not (server.folder / ".gunicorn/gunicorn.ctl").exists())


@control("--workers", "1")
def place(server):
    path = socket(server)
    until("its mode", lambda: stat.S_IMODE(path.stat().st_mode) == 0o600)
    return {
        "directory": oct(stat.S_IMODE(path.parent.stat().st_mode)), "is socket": stat.S_ISSOCK(path.stat().st_mode),
        "logged": any(str(path) in line.message and "Control socket listening at" in line.message for line in server.errors()),
    }


@control("--control-socket", "own.ctl", "--control-socket-mode", "432")
def relative(server):
    path = server.folder / "own.ctl"
    until("its mode", lambda: path.exists() and stat.S_IMODE(path.stat().st_mode) == 0o660)
    code, out, _ = run(server, "gunicornc", "-s", "own.ctl", "-c", "show stats", "-j")
    return {"code": code, "pid": json.loads(out)["pid"] == server.pid, "default": (server.folder / ".gunicorn").exists()}


@control("--no-control-socket")
def disabled(server):
    return {"there": (server.folder / ".gunicorn").exists()}


test_control = control.test()


def test_dirty_workers_are_an_error():
    with Server(OXICORN, "lifecycle:application") as server:
        for command in ["dirty add", "dirty remove 2"]:
            code, _, err = gunicornc(server, command)
            assert (code, err) == (1, "Error: there are no dirty workers here: applications run in workers and runners\n")


PROGRAM = """
from oxicorn.app.base import BaseApplication

def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

class Program(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "unix:app.sock")
        self.cfg.set("workers", 2)

    def load(self):
        return application

if __name__ == "__main__":
    Program().run()
"""


def test_a_program_that_embeds_the_server_has_it(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = environment_of({"HOME": str(tmp_path)})
    process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        path = tmp_path / ".gunicorn/gunicorn.ctl"
        until("its control socket", path.exists)

        def call(*command):
            done = subprocess.run([BIN / command[0], *command[1:]], env=environment, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout
        until("two workers", lambda: len(json.loads(call("gunicornc", "-c", "show workers", "-j"))["workers"]) == 2)
        assert json.loads(call("oxicorn", "ctl", "reload", "--wait", "-j"))["generation"] == 2
        call("oxicorn", "ctl", "drain")
        assert process.wait(30) == 0
        assert not path.exists()
    finally:
        process.kill()
        process.wait()
