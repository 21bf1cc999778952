"""The servers under measurement: how each one is started, and why it may be left out."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile

from bench_lib.wrk import find

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
APPS = pathlib.Path(__file__).resolve().parent / "apps"
WSGI = ("oxicorn", "gunicorn", "granian", "bjoern", "fastwsgi", "uwsgi", "waitress")
# Their names at PyPI.
PACKAGES = {"uwsgi": "pyuwsgi"}
ONE_PROCESS = "one process"
ONE_THREAD = "one thread per process: four calls at once instead of eight"

NGINX = """
daemon off; master_process on; worker_processes {workers}; pid {dir}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type text/plain;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        {content}
    }}
}}
"""
NGINX_HELLO = 'location / { return 200 "Hello, World!"; }'
NGINX_FILES = """
        sendfile on; tcp_nopush on; tcp_nodelay on;
        types {{ text/css css; text/javascript js; }}
        location / {{ root {files}; }}
"""
BJOERN = """
import os, importlib, bjoern
module, name = "{application}".split(":")
bjoern.listen(getattr(importlib.import_module(module), name), "127.0.0.1", {port})
for _ in range({workers} - 1):
    if os.fork() == 0:
        break
bjoern.run()
"""
FASTWSGI = """
import importlib, fastwsgi
module, name = "{application}".split(":")
fastwsgi.run(wsgi_app=getattr(importlib.import_module(module), name), host="127.0.0.1", port={port}, workers={workers})
"""


class Venv:
    """The virtual environment with the peers and a release build of the wheel, made on first use."""

    folder = None

    @classmethod
    def program(cls, name):
        if cls.folder is None:
            made = subprocess.run([ROOT / "scripts/python-env", "--bench"], stdout=subprocess.PIPE, text=True, check=False)
            if made.returncode:
                sys.exit("scripts/bench: scripts/python-env --bench failed")
            cls.folder = pathlib.Path(made.stdout.splitlines()[0])
        return str(cls.folder / "bin" / name)

    @classmethod
    def versions(cls):
        listed = subprocess.run(
            [cls.program("python"), "-m", "pip", "list", "--disable-pip-version-check", "--format", "json"],
            check=True, capture_output=True, text=True,
        ).stdout
        return {package["name"].lower(): package["version"] for package in json.loads(listed)}


def command(name, application, port, workers, threads):
    """The command that starts a WSGI server."""
    address, shape = f"127.0.0.1:{port}", ["--workers", str(workers), "--threads", str(threads)]
    words = {"application": application, "port": port, "workers": workers}
    program = Venv.program
    return {
        "oxicorn": lambda: [program("oxicorn"), *shape, "--bind", address, "--log-level", "warning", application],
        # gthread keeps connections, as the other servers do.
        "gunicorn": lambda: [
            program("gunicorn"), *shape, "--bind", address, "--worker-class", "gthread", "--log-level", "warning", application,
        ],
        "granian": lambda: [
            program("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
            "--blocking-threads", str(threads), "--no-ws", "--log-level", "warning", application,
        ],
        "bjoern": lambda: [program("python"), "-c", BJOERN.format(**words)],
        "fastwsgi": lambda: [program("python"), "-c", FASTWSGI.format(**words)],
        # With its own router in front: a process that keeps a connection to itself would starve the others.
        "uwsgi": lambda: [
            program("uwsgi"), "--http", address, "--http-keepalive", "--http-auto-chunked", "--master", "--die-on-term", "--need-app",
            "--disable-logging", "--listen", "2048", "--processes", str(workers), *(["--threads", str(threads)] if threads > 1 else []),
            "--module", application,
        ],
        "waitress": lambda: [
            program("waitress-serve"), "--listen", address, "--threads", str(threads), "--connection-limit", "2000",
            "--asyncore-use-poll", application,
        ],
    }[name]()


def nginx(directory, port, workers, content=NGINX_HELLO):
    folder = pathlib.Path(directory, f"nginx-{port}")
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(dir=folder, port=port, workers=workers, content=content))
    return [find("nginx"), "-p", str(folder), "-c", str(config)]


def native(binary, application, port, workers, threads):
    return [
        binary, "--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--threads", str(threads), "--log-level", "warning",
        application,
    ]


def version(name):
    """The version of a server, from itself or from pip."""
    if name in WSGI[1:]:
        return Venv.versions()[PACKAGES.get(name, name)]
    if name == "nginx":
        said = subprocess.run([find("nginx"), "-v"], check=True, capture_output=True, text=True)
        return said.stderr.strip().rsplit("/", 1)[1]
    return ""


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="oxicorn-bench-") as directory:
        yield directory
