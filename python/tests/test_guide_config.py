"""The unmodified config file of the guide's service, in both servers."""

import re
from pathlib import Path
from signal import SIGHUP

import pytest

from harness import Server, both, compare, until

CONFIG = (Path(__file__).parent / "apps/guide/gunicorn_config.py").read_text()
FILES = {
    "gunicorn_config.py": CONFIG,
    "wsgi.py": "from lifecycle import application as app\napplication = app\n",
}
ENV = {"GUNICORN_WORKERS": "4", "GUNICORN_THREADS": "2", "GUNICORN_BIND": "127.0.0.1:0"}


def guide(kind, **env):
    return Server(
        kind, "wsgi:application", "--config", "gunicorn_config.py", "--pythonpath", "{folder}", bind=None, logs=False,
        files=FILES, env={**ENV, **env},
    )


def output(server):
    return (server.folder / "output").read_text()


def served(kind):
    with guide(kind) as server:
        until("four workers", lambda: len(server.workers()) == 4)
        pids = set()
        until("answers of more than one", lambda: pids.add(server.get("/pid?guide", "User-Agent: ab\r\n").text) or len(pids) > 1)
        line = until("an access line", lambda: next((text for text in output(server).splitlines() if "?guide" in text), None))
        initialized = r"\[INFO\] Worker initialized \(pid: \d+\)"
        until("all have told", lambda: len(re.findall(initialized, output(server))) >= 4)
        text = output(server)
        return {
            "loaded once": len({server.get("/load").text for _ in range(300)}) == 1,
            "access line": re.sub(r"\[\d\d/.*?\]", "[time]", re.sub(r" \d+$", " us", re.sub(r" 200 \d+ ", " 200 n ", line))),
            "when_ready": len(re.findall(r"\[INFO\] Server is ready\. Spawning workers", text)),
            "post_fork": len(re.findall(r"\[INFO\] Worker spawned \(pid: \d+\)", text)),
            "post_worker_init": len(re.findall(initialized, text)),
            "pre_fork before there is a pid": len(re.findall(r"Worker spawned \(pid: (None|\[booting\])\)", text)),
            "threads": server.get("/threads").text.isdecimal(),
        }


def test_served_unmodified():
    compare("guide/served", *both(served))


@pytest.mark.parametrize("variables, workers", [({"GUNICORN_WORKERS": "2"}, 2), ({"GUNICORN_WORKERS": "1", "LOG_LEVEL": "WARNING"}, 1)])
def test_from_the_environment(variables, workers):
    def scenario(kind):
        with guide(kind, **variables) as server:
            until(f"{workers} workers", lambda: len(server.workers()) == workers)
            return {"info": "[INFO]" in output(server), "status": server.get("/pid").status}
    compare(f"guide/{workers} workers", *both(scenario))


def test_reloads_preloaded_code():
    """HUP loads a preloaded application again; gunicorn keeps the old code."""
    def scenario(kind):
        with guide(kind, GUNICORN_WORKERS="2") as server:
            before = server.get("/load").text
            until("both", lambda: len(server.workers()) == 2)
            old = server.workers()
            server.signal(SIGHUP)
            until("new workers", lambda: len(server.workers()) == 2 and not set(old) & set(server.workers()))
            return {"loaded again": server.get("/load").text != before}
    compare("guide/reload", *both(scenario))
