"""Where docs_test.py runs the commands of the docs: a folder with what they name, and the servers that they are about."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from doc_blocks import ROOT
from prometheus_test import until

BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
# The folder of a Python environment with the wheel.
PYTHON = "DOCS_TEST_PYTHON"
# A server in the foreground, which goes on until the end of the block.
SERVES = re.compile(
    r"^(\w+=\S* )*(oxicorn|target/release/oxicorn|\.venv/bin/oxicorn|make run|cargo run)\b"
    r"(?!.*(--check-config|--print-config|--help|--version)| ctl )"
)
PUBLIC, ADMIN = 5002, 9108
TASKS = "/api/v1/eventstreammonitor/tasks"
LONG = 120
KEPT = ("RUSTUP_TOOLCHAIN", "LANG", "CARGO_TARGET_DIR")
WSGI = 'def application(environ, start_response):\n    start_response("200 OK", [("Content-Length", "2")])\n    return [b"ok"]\n'
# `make run` serves the debug build; of the others make says what it would do.
MAKE = """#!/bin/sh
[ "$1" = run ] && exec {make} -s -C {root} -o build -o need-build run BINARY={oxicorn}
exec {make} -s -C {root} -n "$@" >"$HOME/make.out"
"""
# A test that is named has to exist; `make test` runs it.
CARGO = """#!/bin/sh
case "$1" in
    run) while [ "$1" != --example ]; do shift; done; name="$2"; shift 3; exec {examples}/"$name" "$@" ;;
    build | test)
        # The build of all packages is the one that `make test` has made.
        command="$1"; shift
        [ "$1" = -p ] && grep -q "^name = \"$2\"" {root}/*/Cargo.toml && shift 2
        case "$command $*" in test*" -- "*) ;; test*) set -- "$@" -- ;; esac
        cd {root} && {cargo} "$command" --quiet --locked --workspace "$@" $([ "$command" = build ] || echo --list) >"$HOME/cargo.out"
        [ "$command" = build ] || grep -q ': test$' "$HOME/cargo.out" ;;
    *) exec {cargo} "$@" ;;
esac
"""


class Sandbox:
    """A folder with what the commands name, and an environment in which they find it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-docs-"))
        self.bin = self.folder / "bin"
        for path in ("bin", "target/release", ".venv/bin"):
            (self.folder / path).mkdir(parents=True)
        for path in ("scripts", "etc", "docs", "tests", "Makefile"):
            (self.folder / path).symlink_to(ROOT / path)
        for path in ("bin/oxicorn", "target/release/oxicorn"):
            (self.folder / path).symlink_to(BUILT / "oxicorn")
        for name in ("app.py", "wsgi.py"):
            (self.folder / name).write_text(WSGI)
        tools = {name: shutil.which(name) for name in ("make", "cargo")}
        for name, text in (("make", MAKE), ("cargo", CARGO)):
            text = text.format(root=ROOT, oxicorn=BUILT / "oxicorn", examples=BUILT / "examples", **tools)
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        # The caches are those of the real home: of cargo, and of Kafka's jars.
        caches = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup", "OXICORN_CACHE_DIR": ".cache/oxicorn"}
        self.env = {
            **{name: str(Path.home() / path) for name, path in caches.items()},
            **{name: os.environ[name] for name in (*caches, *KEPT) if name in os.environ},
            "HOME": str(self.folder),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "OXICORN_SERVICES_DIR": str(self.folder / "services"),
            "DATABASE_URL": f"sqlite:{self.folder}/tasks.db",
        }

    def run(self, *words, **options):
        return subprocess.run(words, cwd=self.folder, env=self.env, text=True, timeout=600, check=True, **options)

    def close(self):
        self.run(ROOT / "scripts/services", "down")
        shutil.rmtree(self.folder)


class Server:
    """A server in the foreground of the sandbox. It has to end with code 0 when it is told to, if it has not before."""

    def __init__(self, box, command, port=None):
        self.box, self.command = box, command
        self.output = open(box.folder / "output", "ab")
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"], cwd=box.folder, env=box.env, stdout=self.output, stderr=self.output,
            start_new_session=True,
        )
        # make keeps its own process in front of the server.
        until(f"{command}: an answer", lambda: self.ended() or answers(port or port_of(command)), LONG)
        assert self.process.poll() is None, self.log()

    def ended(self):
        return self.process.poll() is not None

    def log(self):
        return (self.box.folder / "output").read_text()

    def stop(self):
        pids = [int(path.read_text()) for path in self.box.folder.glob("*.pid*")]
        for pid in [*pids, self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        try:
            until("its end", self.ended, LONG)
            until("no server", lambda: not answers(port_of(self.command)), LONG)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.output.close()
        # A shell that make has started reports the signal.
        assert self.process.returncode in (0, -signal.SIGTERM, 2), (self.process.returncode, self.log())


class Service(Server):
    """A server, by default of tasks, with what the commands of operation need: a pid file, logs, the admin process."""

    FLAGS = (
        f"--bind 127.0.0.1:{PUBLIC} --workers 4 --threads 2 --pid oxicorn.pid --access-logfile access.log "
        f"--admin-bind 127.0.0.1:{ADMIN} --health-path /healthz"
    )

    def __init__(self, box, more="", app="native:eventstreammonitor"):
        super().__init__(box, f"oxicorn {self.FLAGS} {more} {app}", PUBLIC)
        self.settle()
        if app.startswith("native:"):
            self.finish_a_task()

    def finish_a_task(self):
        self.ask("POST", TASKS, '{"userId": 7, "parameters": {"numbers": [1, 2]}}')
        until("a task that is done", lambda: b'"completed"' in self.ask("GET", f"{TASKS}/1000"), LONG)

    def ask(self, method, path, body=None, port=PUBLIC):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)) as client:
            client.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            return client.getresponse().read()

    def settle(self):
        """Waits until as many workers are ready as there should be, and no other is left."""
        until("all workers", lambda: settled(self), LONG)

    def is_controlled(self):
        command = ["oxicorn", "ctl", "status"]
        result = subprocess.run(command, env=self.box.env, cwd=self.box.folder, capture_output=True, check=False)
        return result.returncode == 0

    def pid(self, name="oxicorn.pid"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.box.folder / name).read_text())
        return 0


def settled(server):
    try:
        report = json.loads(server.ask("GET", "/status", port=ADMIN))
    except (OSError, http.client.HTTPException):
        return False
    states = [it["state"] for it in report["workers"] if it["kind"] == "worker"]
    return states == ["ready"] * report["server"]["workers_target"]


def lives(pid):
    return pid and Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def port_of(command):
    found = re.search(r"(?:--bind|-b) \S*?:(\d+)", command)
    return int(found[1]) if found else PUBLIC if "make run" in command else 8000


@contextlib.contextmanager
def prepared(setup, box):
    """Starts what the block needs; yields the server, if there is one."""
    name, *words = setup.split()
    with contextlib.ExitStack() as stack:
        server = None
        if name == "wheel":
            (box.bin / "oxicorn").unlink()
            for path in (box.bin / "oxicorn", box.folder / ".venv/bin/oxicorn"):
                path.symlink_to(Path(os.environ[PYTHON]) / "bin/oxicorn")
            server = Service(box, app=words[0]) if words else None
        elif name == "services":
            box.run(ROOT / "scripts/services", "up", *words)
            text = box.run(ROOT / "scripts/services", "env", stdout=subprocess.PIPE).stdout
            box.env |= {name: value.strip("'") for name, value in re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE)}
            server = Service(box)
        elif name == "service":
            server = Service(box, " ".join(words))
        elif name != "nothing":
            raise AssertionError(f"no setup {setup!r}")
        if server:
            stack.callback(server.stop)
        yield server


@contextlib.contextmanager
def awaited(statement, server):
    """What a signal does takes a moment: waits until it is done, so that the next command finds what its reader would."""
    old, generation = (server.pid(), server.log().count("serves with")) if server else (0, 0)
    yield
    if not server or not re.search(r"\b(kill|ctl)\b", statement):
        return
    if "kill -USR2" in statement:
        until("a new master", lambda: lives(server.pid("oxicorn.pid.2")) and server.log().count("serves with") > generation, LONG)
    elif re.search(r"kill -(TERM|INT|QUIT)", statement):
        name = "oxicorn.pid.2" if "pid.2" in statement else "oxicorn.pid"
        until("the end of a master", lambda: server.pid(name) in (0, *([server.pid()] if server.pid() != old else [])), LONG)
    elif "kill -HUP" in statement:
        until("a new generation", lambda: server.log().count("serves with") > generation, LONG)
    if "WINCH" not in statement:
        # It may be about to end. A new master takes the control socket within ten seconds.
        until("a server that serves, or none", lambda: not lives(server.pid()) or settled(server) and server.is_controlled(), LONG)
