"""The workloads. Each is one load on several servers with the same number of workers and threads."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import urllib.request

from bench_lib import environment, peers, results
from bench_lib.clients import Clients
from bench_lib.peers import ONE_PROCESS, ONE_THREAD, WSGI
from bench_lib.tree import Tree, free_port
from bench_lib.wrk import Wrk, find

GUIDE = peers.ROOT / "python/tests/apps/guide"
HELLO, FLASK, WORK = "hello:application", "hello_flask:application", "work:application"
LIST = "/api/v1/eventstreammonitor/tasks"
BODY = {"userId": 7, "taskType": "data_processing", "parameters": {"numbers": list(range(20))}}
# The first task number in a new store.
FIRST = 1000
# Static files, in octets.
FILES = {"1k.css": 1000, "100k.js": 100_000, "10m.bin": 10_000_000}
# What a browser sends: fifteen, with the Host that wrk adds.
FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://www.example.com/tasks?status=pending",
    "Cookie": "session=4f6c1b0de9a94d5c8f1b2a3c4d5e6f70; theme=dark",
    "DNT": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
    "X-Request-Id": "0b0e3c52-5f0a-4f67-9e43-2d1f3b6f7a10",
    "X-Forwarded-For": "203.0.113.7",
}


@dataclasses.dataclass
class Subject:
    """A running server and its load."""

    tree: Tree
    load: object

    def warm_up(self):
        self.load.run(self.tree.port, 0.5 if isinstance(self.load, Clients) else 1)

    def measure(self, seconds):
        before = self.tree.cpu_seconds()
        figures = self.load.run(self.tree.port, seconds)
        figures["cpu"] = (self.tree.cpu_seconds() - before) * 1e6 / max(figures.pop("requests"), 1)
        figures["memory"] = self.tree.pss_mib()
        return figures


@dataclasses.dataclass
class Bare:
    """The same calls without a server, measured in turns with the servers: how much of the ideal this machine allows."""

    command: list

    def warm_up(self):
        """Nothing to warm up."""

    def measure(self, seconds):
        environment = {**os.environ, "PYTHONPATH": str(peers.APPS)}
        done = subprocess.run([*self.command, str(seconds)], check=True, capture_output=True, text=True, env=environment)
        return {"rate": float(done.stdout)}


@dataclasses.dataclass
class Workload:
    name: str
    section: str
    title: str
    load: object
    shape: tuple = (1, 1)
    application: str = HELLO
    servers: tuple = WSGI
    left_out: dict = dataclasses.field(default_factory=dict)
    # Requests per second that the workers and threads allow, if the application alone decides and no sleep ends late.
    ideal: float | None = None

    def pin(self):
        """A single worker gets a processor, and the load the other one. More workers share both with the load."""
        return [find("taskset"), "-c", "0"] if self.shape == (1, 1) else []

    def commands(self, directory, options):
        """Name, command, port and variables of each server."""
        for name in self.servers:
            if name in self.left_out:
                continue
            port = free_port()
            yield name, self.command(name, port, directory, options), port, {"PYTHONPATH": str(peers.APPS)}

    def command(self, name, port, directory, options):
        return peers.command(name, self.application, port, *self.shape)

    def prepare(self, name, tree):
        """Prepares a server for the first request."""

    @contextlib.contextmanager
    def subjects(self, options):
        """The running servers by name, until the block ends."""
        with peers.scratch() as directory:
            started = {}
            try:
                for name, command, port, variables in self.commands(directory, options):
                    started[name] = Tree([*self.pin(), *command], port, directory, variables)
                for name, tree in started.items():
                    tree.ready()
                    self.prepare(name, tree)
                found = {name: Subject(tree, self.load) for name, tree in started.items()}
                yield {**found, **({results.BARE: self.bare()} if self.ideal else {})}
            finally:
                for tree in started.values():
                    tree.stop()

    def bare(self):
        words = [self.application, self.load.path, *map(str, self.shape)]
        return Bare([*self.pin(), peers.Venv.program("python"), str(peers.APPS / "bare.py"), *words])

    def versions(self, names):
        return {name: version for name in names if (version := peers.version(name))}


class Native(Workload):
    """A native application beside nginx."""

    def command(self, name, port, directory, options):
        workers, threads = self.shape
        if name == "nginx":
            return peers.nginx(directory, port, workers)
        return peers.native(options.binary, "native:hello", port, workers, threads)


class Static(Workload):
    """Files beside nginx, with the same TCP options: `sendfile`, head and content in one packet."""

    def commands(self, directory, options):
        workers, threads = self.shape
        files = pathlib.Path(directory, "files")
        files.mkdir()
        # The workers of nginx are another user's if root starts it.
        os.chmod(directory, 0o755)
        for name, octets in FILES.items():
            pathlib.Path(files, name).write_bytes(os.urandom(octets))
        for name in self.servers:
            port = free_port()
            if name == "nginx":
                command = peers.nginx(directory, port, workers, peers.NGINX_FILES.format(files=files))
            else:
                command = [
                    *peers.native(options.binary, "native:hello", port, workers, threads), "--static-map", f"/={files}",
                ]
            yield name, command, port, {}


class Guide(Workload):
    """The guide's Flask service with the guide's config file, and the native service with the same calls."""

    def commands(self, directory, options):
        workers, threads = self.shape
        for name in self.servers:
            port, folder = free_port(), pathlib.Path(directory, name)
            folder.mkdir()
            variables = {
                "GUNICORN_WORKERS": str(workers), "GUNICORN_THREADS": str(threads), "GUNICORN_BIND": f"127.0.0.1:{port}",
                "DATABASE_URL": f"sqlite:///{folder}/tasks.db",
            }
            if name == "native":
                command = peers.native(options.binary, "native:eventstreammonitor", port, workers, threads)
                variables = {"OXICORN_RUNNERS": "0", "DATABASE_URL": f"sqlite:{folder}/tasks.db"}
            else:
                program = peers.Venv.program(name)
                command = [program, "--config", str(GUIDE / "gunicorn_config.py"), "--chdir", str(GUIDE), "wsgi:application"]
            yield name, command, port, variables

    def prepare(self, name, tree):
        if name == "native":
            store(tree.port, 100)


def store(port, count):
    """Creates `count` tasks."""
    for number in range(count):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{LIST}", json.dumps(BODY).encode(), {"Content-Type": "application/json"}
        )
        task = json.load(urllib.request.urlopen(request, timeout=10))["task"]["taskId"]
        if task != FIRST + number:
            sys.exit(f"the store is not new: task {number} is {task}")


def table():
    one = lambda name, title, load, **more: Workload(name, "one", title, load, **more)
    unsaid = {"uwsgi": "it closes without Connection: close, which wrk counts as a failure"}
    wrk = lambda **more: Wrk(cpu=1, **more)
    four = {"waitress": ONE_PROCESS}
    waiting = {**four, "bjoern": ONE_THREAD, "fastwsgi": ONE_THREAD}
    cores = environment.machine()["cores"]
    return [
        Native("native-hello", "native", "hello, 1 x 1", wrk(), servers=("oxicorn", "nginx")),
        Native("native-hello-4x2", "native", "hello, 4 x 2", Wrk(), shape=(4, 2), servers=("oxicorn", "nginx")),
        *(
            Static(
                f"static-{name}{suffix}", "static", f"{size}, {workers} x 1", load(path=f"/{file}"), (workers, 1),
                servers=("oxicorn", "nginx"),
            )
            for workers, suffix, load in ((1, "", wrk), (2, "-2x1", Wrk))
            for name, size, file in (("1k", "1 KB", "1k.css"), ("100k", "100 KB", "100k.js"), ("10m", "10 MB", "10m.bin"))
        ),
        one("hello", "hello", wrk()),
        one("fresh", "one connection per request", wrk(fields={"Connection": "close"}), left_out=unsaid),
        one("fields", "15 header fields", wrk(fields=FIELDS)),
        one("clients-1000", "1,000 connections", wrk(connections=1000)),
        Workload("hello-4x2", "four", "hello", Wrk(), (4, 2), left_out=four),
        Workload("clients-1000-4x2", "four", "1,000 connections", Wrk(connections=1000), (4, 2), left_out=four),
        Workload("flask-4x2", "four", "hello in Flask", Wrk(), (4, 2), FLASK, left_out=four),
        *(
            Workload(name, "bodies", title, wrk(path=path, body=body), (1, 1), WORK)
            for name, title, path, body in (
                ("up-1k", "1 KB up, 1 x 1", "/upload", 1000),
                ("up-100k", "100 KB up, 1 x 1", "/upload", 100_000),
                ("up-1m", "1 MB up, 1 x 1", "/upload", 1_000_000),
                ("down-1m", "1 MB down, 1 x 1", "/download", 0),
                ("pieces", "a generator of 20 pieces, 1 x 1", "/pieces", 0),
            )
        ),
        Workload("up-100k-4x2", "bodies", "100 KB up, 4 x 2", Wrk(path="/upload", body=100_000), (4, 2), WORK, left_out=four),
        Workload("up-1m-4x2", "bodies", "1 MB up, 4 x 2", Wrk(path="/upload", body=1_000_000), (4, 2), WORK, left_out=four),
        *(
            Workload(
                f"{what}-{clients}", "fair", f"{title}, {clients} clients, 4 x 2", Clients(clients, path), (4, 2), WORK,
                left_out=left_out, ideal=ideal,
            )
            for what, title, path, left_out, ideal in (
                ("sleep", "5 ms of sleep", "/sleep-5", waiting, 8 / 0.005),
                ("compute", "4 ms of computing", "/compute-4", four, min(cores, 8) / 0.004),
            )
            for clients in (8, 20)
        ),
        *(
            Workload(
                f"door-1x{threads}", "fair", f"50 ms of sleep, 6 clients, 1 x {threads}", Clients(6, "/sleep-50"), (1, threads), WORK,
                servers=("oxicorn", "gunicorn", "granian", "uwsgi"), ideal=threads / 0.05,
            )
            for threads in (1, 2)
        ),
        *(
            Guide(name, "guide", f"the guide's Flask service, {clients} clients", load, (4, 2), servers=("oxicorn", "gunicorn", "native"))
            for name, clients, load in (
                ("guide", 20, Clients(20, LIST)),
                ("guide-100", 100, Wrk(connections=100, path=LIST)),
            )
        ),
    ]
