"""The hooks of a Python config file: which are called, in which process and order, and with which arguments."""

import json
import os
from signal import SIGABRT, SIGHUP, SIGINT, SIGTERM, SIGTTIN, SIGUSR2

from harness import Closed, Scenarios, processes, until

# Each hook writes its name, whether it runs in the master, and some of its arguments.
CONFIG = '''
import json, os

MASTER = os.getpid()

def told(hook, **more):
    with open(os.path.join(os.environ["HOME"], "hooks"), "a") as log:
        log.write(json.dumps(dict(more, hook=hook, pid=os.getpid(), master=os.getpid() == MASTER)) + "\\n")

def on_starting(server):
    told("on_starting", workers=server.cfg.workers, address=bool(server.address))
def on_reload(server):
    told("on_reload", pid_is=server.pid == os.getpid())
def when_ready(server):
    told("when_ready", pid_is=server.pid == os.getpid(), listeners=len(server.LISTENERS), workers=server.num_workers)
    server.log.info("said by a hook: %s", "when_ready")
def pre_fork(server, worker):
    told("pre_fork", age=worker.age, pid_is=server.pid == os.getpid())
def post_fork(server, worker):
    told("post_fork", age=worker.age, pid_is=worker.pid == os.getpid(), parent=worker.ppid == server.pid)
    worker.log.info("said by a hook: post_fork")
def post_worker_init(worker):
    told("post_worker_init", pid_is=worker.pid == os.getpid(), callable=callable(worker.wsgi), threads=worker.cfg.threads)
def worker_int(worker):
    told("worker_int", pid_is=worker.pid == os.getpid())
def worker_abort(worker):
    told("worker_abort", pid_is=worker.pid == os.getpid())
def pre_exec(server):
    told("pre_exec", pid_is=server.pid == os.getpid())
def pre_request(worker, req):
    told("pre_request", pid_is=worker.pid == os.getpid(), method=req.method, path=req.path, query=req.query, uri=req.uri,
         version=list(req.version), headers=sorted([list(h) for h in req.headers]))
    worker.log.debug("%s %s", req.method, req.path)
def post_request(worker, req, environ, resp):
    told("post_request", method=req.method, path=req.path, status=resp.status, code=resp.status_code, sent=resp.sent,
         environ=environ["PATH_INFO"], headers=sorted([list(h) for h in resp.headers if h[0] != "Content-Length"]))
def child_exit(server, worker):
    told("child_exit", age=worker.age, pid_is=server.pid == os.getpid(), has_pid=worker.pid > 0)
def worker_exit(server, worker):
    told("worker_exit", age=worker.age, pid_is=worker.pid == os.getpid())
def nworkers_changed(server, new_value, old_value):
    told("nworkers_changed", new=new_value, old=old_value)
def on_exit(server):
    told("on_exit", pid_is=server.pid == os.getpid())
'''
FILES = {"conf.py": CONFIG}
FLAGS = ("--config", "{folder}/conf.py", "--worker-class", "gthread", "--threads", "1")
hooks = Scenarios("hooks")


def told(server):
    text = (server.folder / "hooks").read_text()
    return [json.loads(line) for line in text.splitlines()]


def seen(server, hook):
    until(hook, lambda: any(call["hook"] == hook for call in told(server)))


def facts(server):
    """Calls in order, separately for the master and each worker, as processes have no common order."""
    found = {}
    calls = told(server)
    pids = list(dict.fromkeys(call["pid"] for call in calls if call["pid"] != server.pid))
    for call in calls:
        who = "master" if call["pid"] == server.pid else f"worker {pids.index(call['pid']) + 1}"
        found.setdefault(who, []).append(call["hook"])
        details = {key: value for key, value in call.items() if key not in ("hook", "pid")}
        number = found[who].count(call["hook"])
        for key, value in details.items():
            found[f"{who}: {call['hook']} {number}: {key}"] = value
    return found


@hooks(*FLAGS, files=FILES)
def a_life(server):
    server.get("/load?a=1", "X-Field: value\r\n")
    seen(server, "post_request")
    server.process.terminate()
    server.wait_exit()
    found = facts(server)
    text = server.error_text()
    return {**found, "logged": [mark in text for mark in ("said by a hook: when_ready", "said by a hook: post_fork")]}


@hooks(*FLAGS, files=FILES)
def a_reload(server):
    server.signal(SIGHUP)
    seen(server, "child_exit")
    server.wait_ready()
    server.process.terminate()
    server.wait_exit()
    calls = told(server)
    return {
        "master": sorted(call["hook"] for call in calls if call["pid"] == server.pid),
        "each worker": sorted(
            sorted(call["hook"] for call in calls if call["pid"] == pid and "request" not in call["hook"])
            for pid in {call["pid"] for call in calls} - {server.pid}
        ),
    }


@hooks(*FLAGS, files=FILES)
def one_more(server):
    server.signal(SIGTTIN)
    until("two workers", lambda: len([call for call in told(server) if call["hook"] == "post_worker_init"]) == 2)
    return {"changes": [(call["new"], call["old"]) for call in told(server) if call["hook"] == "nworkers_changed"]}


@hooks(*FLAGS, files=FILES, expects=[r"."])
def interrupted(server):
    server.get("/load")
    (worker,) = server.workers()
    os.kill(worker, SIGINT)
    seen(server, "child_exit")
    return {"the worker's": [call["hook"] for call in told(server) if call["pid"] == worker and "request" not in call["hook"]]}


@hooks(*FLAGS, files=FILES, expects=[r"."])
def aborted(server):
    server.get("/load")
    (worker,) = server.workers()
    os.kill(worker, SIGABRT)
    seen(server, "child_exit")
    return {"the worker's": [call["hook"] for call in told(server) if call["pid"] == worker and "request" not in call["hook"]]}


@hooks(*FLAGS, "--preload", files=FILES)
def preloaded(server):
    server.get("/load")
    server.process.terminate()
    server.wait_exit()
    calls = told(server)
    return {
        "the master's": [call["hook"] for call in calls if call["pid"] == server.pid],
        "the others'": [call["hook"] for call in calls if call["pid"] != server.pid and "request" not in call["hook"]],
    }


@hooks(*FLAGS, "--pid", "{folder}/pid", files=FILES)
def a_second_master(server):
    server.signal(SIGUSR2)
    seen(server, "pre_exec")
    second = server.folder / "pid.2"
    new = int(until("its pid", lambda: second.exists() and second.read_text().strip()))
    until("its worker", lambda: processes.children(new))
    os.kill(new, SIGTERM)
    until("its end", lambda: not processes.alive(new))
    return {"pre_exec": [call["master"] for call in told(server) if call["hook"] == "pre_exec"]}


FAILING = CONFIG + '''
def {hook}({arguments}):
    raise ValueError("raised by a hook")
'''


def fails(hook, arguments):
    """The effect of a hook that raises."""
    def scenario(server):
        try:
            answered = server.get("/load").status
        except (Closed, ConnectionError):
            answered = "closed"
        until("its traceback", lambda: "ValueError: raised by a hook" in server.error_text())
        return {"answered": answered}
    scenario.__name__ = f"{hook}_fails"
    files = {"conf.py": FAILING.replace("{hook}", hook).replace("{arguments}", arguments)}
    hooks(*FLAGS, files=files, expects=[r"."], ready=False)(scenario)


fails("pre_request", "worker, req")
fails("post_request", "worker, req, environ, resp")
test_hooks = hooks.test()
