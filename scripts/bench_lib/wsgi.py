"""oxicorn beside other WSGI servers, over the same application on the same core."""

import pathlib
import subprocess
import sys
import tempfile

from bench_lib.interleaved import report, rounds_of
from bench_lib.tree import Tree, free_port
from bench_lib.wrk import find

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
APPS = pathlib.Path(__file__).resolve().parent
HELLO, FLASK = "hello:application", "hello:flask()"


def commands(folder, port, workers, threads, application):
    """name -> command. A server that has no such shape is missing."""
    program = lambda name: str(folder / "bin" / name)
    python, address = program("python"), f"127.0.0.1:{port}"
    shape = ["--workers", str(workers), "--threads", str(threads), "--bind", address]
    found = {
        # gthread, so that connections are kept as everybody else keeps them.
        "gunicorn": [program("gunicorn"), *shape, "--worker-class", "gthread", "--log-level", "warning", application],
        "oxicorn": [program("oxicorn"), *shape, "--log-level", "warning", application],
    }
    if application == HELLO:
        found["granian"] = [
            program("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
            "--blocking-threads", str(threads), "--no-ws", "--log-level", "warning", application,
        ]
        if (workers, threads) == (1, 1):
            load = "from hello import application as app; "
            found["bjoern"] = [python, "-c", f"{load}import bjoern; bjoern.run(app, '127.0.0.1', {port})"]
            found["fastwsgi"] = [python, "-c", f"{load}import fastwsgi; fastwsgi.run(wsgi_app=app, host='127.0.0.1', port={port})"]
    return found


def environment():
    """The virtual environment with the peers and a release build of the wheel."""
    made = subprocess.run([ROOT / "scripts/python-env", "--bench"], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        sys.exit("scripts/bench: scripts/python-env --bench failed")
    return pathlib.Path(made.stdout.splitlines()[0])


def compare(options, application, shapes):
    folder = environment()
    for workers, threads in shapes:
        print(f"\n{application}, {workers} x {threads}")
        with tempfile.TemporaryDirectory(prefix="oxicorn-bench-") as directory:
            servers = {}
            try:
                for name in ("gunicorn", "granian", "bjoern", "fastwsgi", "oxicorn"):
                    port = free_port()
                    command = commands(folder, port, workers, threads, application).get(name)
                    if command:
                        pin = [find("taskset"), "-c", str(options.server_cpu)]
                        servers[name] = Tree([*pin, *command], port, directory, {"PYTHONPATH": str(APPS)})
            except BaseException:
                for tree in servers.values():
                    tree.stop()
                raise
            report(rounds_of(servers, options))
