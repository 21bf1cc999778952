"""The task service beside the benchmark programs of PostgreSQL and Redis.

  service-cached     GET /tasks/{id} through Redis   beside redis-benchmark GET, values of the same length
  service-uncached   GET /tasks/{id} from PostgreSQL beside pgbench with the same prepared select
  service-post       POST /tasks                     beside pgbench with the same prepared insert

Both sides have the same number of connections and no pipelining, and share all processors with the servers. The select and
the insert are the service's own, read from pg_stat_statements. scripts/services starts private servers.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import urllib.request

from bench_lib import peers
from bench_lib.tree import Tree, free_port
from bench_lib.workloads import BODY, FIRST, LIST, Subject, Workload, store
from bench_lib.wrk import Wrk, find

STORED = 1000
LAST = FIRST + STORED - 1
GET = f"""
math.randomseed(os.time())
request = function() return wrk.format("GET", "{LIST}/" .. math.random({FIRST}, {LAST})) end
"""
POST = f"""
wrk.method = "POST"
wrk.path = "{LIST}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{json.dumps(BODY)}'
"""
# In the order of the parameters of the service's insert.
INSERT_VALUES = {
    1: ("number", "random(1, 9000000000000000)"),
    2: ("text", "data_processing"),
    3: ("text", "7"),
    4: ("number", "1"),
    5: ("text", "pending"),
    6: ("text", json.dumps(BODY["parameters"])),
    7: ("number", "1764000000000"),
    8: ("text", '{"eventType":"task_created","taskId":'),
    9: ("text", ',"taskReference":"TASK20261124ABCDEF01","taskType":"data_processing","userId":7,"priority":"medium",'
                '"timestamp":"'),
    # Constants of the statement, which PostgreSQL shows as further parameters.
    10: ("text", "epoch"),
    11: ("number", "1000"),
    12: ("text", "task_created"),
    13: ("text", "epoch"),
    14: ("text", "1 millisecond"),
    15: ("text", 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    16: ("text", '"}'),
}


@contextlib.contextmanager
def up(directory, *names):
    """Private servers, and the variables with their addresses."""
    # For the script alone: the service would report it as an unknown setting.
    environment = {**os.environ, "OXICORN_SERVICES_DIR": str(pathlib.Path(directory, "services"))}

    def services(*words):
        command = [str(peers.ROOT / "scripts/services"), *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

    services("up", *names)
    try:
        lines = (shlex.split(line) for line in services("env").splitlines())
        yield dict(words[1].split("=", 1) for words in lines if words)
    finally:
        services("down")


class Database:
    """The PostgreSQL that the service and pgbench share."""

    def __init__(self, url, directory):
        self.url, self.directory = url, pathlib.Path(directory)
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
        self.pgbench = str(found[-1]) if found else find("pgbench")
        self.query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    def query(self, sql):
        command = [find("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", self.url, "-c", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def seen(self, pattern):
        """The most frequent statement whose text matches."""
        text = self.query(f"SELECT query FROM pg_stat_statements WHERE query ~ '{pattern}' ORDER BY calls DESC LIMIT 1")
        if not text:
            sys.exit(f"PostgreSQL has seen no statement like {pattern}")
        return text

    def select(self):
        return statement(self.seen("^SELECT.*FROM tasks.*task_id = "), {1: ("number", f"random({FIRST}, {LAST})")})

    def insert(self):
        return statement(self.seen("INSERT INTO tasks"), INSERT_VALUES)


def statement(sql, values):
    """A script for pgbench: the statement with its parameters as variables, and the lines that set them."""
    flat, lines = " ".join(line.split("--")[0] for line in sql.splitlines()), []
    for number in range(max(int(n) for n in re.findall(r"\$(\d+)", sql)), 0, -1):
        kind, text = values.get(number, ("number", "1"))
        if kind == "number":
            flat = flat.replace(f"${number}", f":p{number}")
            lines.append(f"\\set p{number} {text}")
        else:
            flat = flat.replace(f"${number}", "'" + text.replace("'", "''").replace(":", "\\:") + "'")
    return "\n".join([*lines, re.sub(r"\s+", " ", flat) + ";"]) + "\n"


@dataclasses.dataclass
class PgBench:
    database: Database
    script: str
    connections: int

    def warm_up(self):
        self.measure(1)

    def measure(self, seconds):
        folder = self.database.directory
        script = folder / "script.pgbench"
        script.write_text(self.script)
        command = [
            self.database.pgbench, "-n", "-M", "prepared", "-c", str(self.connections), "-j", "1", "-T", str(seconds),
            "-f", str(script), "-l", "--log-prefix", str(folder / "pgbench.log"), self.database.url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"pgbench failed:\n{done.stderr}\nwith the script\n{self.script}")
        out, waits = done.stdout, []
        for part in folder.glob("pgbench.log*"):
            waits += [int(line.split()[2]) / 1e3 for line in part.read_text().splitlines()]
            part.unlink()
        waits.sort()
        share = lambda part: waits[min(int(len(waits) * part), len(waits) - 1)]
        return {
            "rate": float(re.search(r"tps = ([\d.]+)", out).group(1)),
            "p50": share(0.5), "p99": share(0.99), "p999": share(0.999), "broken": 0,
        }


@dataclasses.dataclass
class RedisBenchmark:
    """GET over as many keys as there are tasks, with values of the same length."""

    port: str
    length: int
    connections: int

    def command(self, *words):
        return [
            find("redis-benchmark"), "-p", self.port, "-c", str(self.connections), "-r", str(STORED), "--csv", *map(str, words),
        ]

    def warm_up(self):
        fill = self.command("-n", STORED * 20, "SET", "bench:__rand_int__", "x" * self.length)
        subprocess.run(fill, check=True, capture_output=True)

    def measure(self, seconds):
        # It counts requests and not time, so ask for about as many as fit.
        command = self.command("-n", seconds * 80_000, "GET", "bench:__rand_int__")
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = next(line for line in out.splitlines() if "GET" in line)
        rate, _, _, p50, _, p99, _ = (float(cell.strip('"')) for cell in row.rsplit('","', 7)[1:])
        return {"rate": rate, "p50": p50, "p99": p99, "broken": 0}


@dataclasses.dataclass
class Service(Workload):
    peer: str = "pgbench"

    @contextlib.contextmanager
    def subjects(self, options):
        names = ("postgres", "redis") if self.peer == "redis-benchmark" else ("postgres",)
        with peers.scratch() as directory, up(directory, *names) as environment:
            # Neither side pays for TLS.
            url = environment["DATABASE_URL"] + "?sslmode=disable"
            variables = {"DATABASE_URL": url, "OXICORN_RUNNERS": "0"}
            if redis := environment.get("REDIS_URL"):
                variables["REDIS_URL"] = redis
            else:
                variables["OXICORN_TASK_CACHE_TTL"] = "0"
            database, port = Database(url, directory), free_port()
            tree = Tree(
                peers.native(options.binary, "native:eventstreammonitor", port, *self.shape), port, directory, variables
            )
            try:
                tree.ready()
                store(port, STORED)
                length = [len(get(port, number)) for number in range(FIRST, FIRST + 50)][0]
                clients = self.load.connections
                if redis:
                    peer = RedisBenchmark(re.search(r":(\d+)", redis.split("//")[1]).group(1), length, clients)
                else:
                    script = database.insert() if self.name == "service-post" else database.select()
                    peer = PgBench(database, script, clients)
                yield {"oxicorn": Subject(tree, self.load), self.peer: peer}
            finally:
                tree.stop()

    def versions(self, names):
        program = "redis-server" if self.peer == "redis-benchmark" else "psql"
        said = subprocess.run([find(program), "--version"], check=True, capture_output=True, text=True).stdout
        return {self.peer: re.search(r"\d+\.[\d.]+", said).group(0)}


def get(port, number):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{LIST}/{number}", timeout=10).read()


def table():
    made = lambda name, title, script, clients, peer: Service(
        name, "service", title, Wrk(connections=clients, script=script), (4, 2), "", ("oxicorn", peer), peer=peer
    )
    return [
        made("service-cached", "cached GET, 8 clients", GET, 8, "redis-benchmark"),
        # Two clients per request thread, so that no thread is idle.
        made("service-uncached", "uncached GET, 16 clients", GET, 16, "pgbench"),
        made("service-post", "POST, 8 clients", POST, 8, "pgbench"),
    ]
