"""Commands that end by themselves: their exit code and their output."""

import os
import re
import signal
import socket

import pytest

from harness import both, compare, processes, run, until
from harness.server import Server

BROKEN_IMPORT = "import nothing_of_that_name\napplication = None\n"
FILES = {
    "empty.py": "",
    "fine.py": "from lifecycle import application\nnumber = 7\n",
    "broken_import.py": BROKEN_IMPORT,
    "broken_syntax.py": "application = = None\n",
    "raising.py": "raise ValueError('raised at import')\n",
    "leaving.py": "import sys\nsys.exit(5)\n",
    "factories.py": (
        "from lifecycle import application\n"
        "def fails(): raise ValueError('raised by the factory')\n"
        "def nothing(): return None\n"
        "def takes(one): return application\n"
    ),
    "extension.py": "import _multiarray_of_nothing\n",
    "conf_good.py": "workers = 2\n",
    "conf_unknown.py": "worker_count = 2\nworkers = 2\n",
    "conf_bad_value.py": "workers = 'many'\n",
    "conf_syntax.py": "workers = = 2\n",
    "conf_raises.py": "raise ValueError('raised in the config file')\n",
    "conf_bad_hook.py": "def when_ready(): pass\n",
    "notes.txt": "workers = 2\n",
}
APP = "fine:application"
# Arguments by name. Unless they have their own, a bind address and the folder of the files as path are added.
CASES = {
    "no-application": [],
    "missing-module": ["nothing:application"],
    "missing-module-in-a-package": ["nothing.sub:application"],
    "missing-attribute": ["empty:application"],
    "missing-attribute-path": ["fine:application.a.b"],
    "not-callable": ["fine:number"],
    "no-attribute-named": ["empty"],
    "import-error": ["broken_import:application"],
    "syntax-error": ["broken_syntax:application"],
    "raises-at-import": ["raising:application"],
    "exits-at-import": ["leaving:application"],
    "missing-native-module": ["extension:application"],
    "factory-fails": ["factories:fails()"],
    "factory-gives-nothing": ["factories:nothing()"],
    "factory-wants-arguments": ["factories:takes()"],
    "factory-unknown": ["factories:other()"],
    "specification-broken": ["fine:application("],
    "specification-empty": ["fine:"],
    "specification-expression": ["fine:1+1"],
    "preload-missing-module": ["--preload", "nothing:application"],
    "preload-missing-attribute": ["--preload", "empty:application"],
    "preload-import-error": ["--preload", "broken_import:application"],
    "preload-syntax-error": ["--preload", "broken_syntax:application"],
    "preload-raises": ["--preload", "raising:application"],
    "unknown-flag": ["--nonsense", APP],
    "bad-number": ["--workers", "many", APP],
    "negative-number": ["--workers", "-1", APP],
    "bad-log-level": ["--log-level", "loud", APP],
    "bad-worker-class": ["--worker-class", "nonsense", APP],
    "bad-user": ["--user", "nobody-of-that-name", APP],
    "bad-group": ["--group", "no-group-of-that-name", APP],
    "bad-umask": ["--umask", "9", APP],
    "bad-chdir": ["--chdir", "/nowhere/at/all", APP],
    "bad-bind": ["--bind", "127.0.0.1:port", APP],
    "bad-address": ["--bind", "203.0.113.7:0", APP],
    "config-missing": ["--config", "{folder}/nowhere.py", APP],
    "config-unknown-name": ["--check-config", "--config", "{folder}/conf_unknown.py", APP],
    "config-bad-value": ["--config", "{folder}/conf_bad_value.py", APP],
    "config-syntax": ["--config", "{folder}/conf_syntax.py", APP],
    "config-raises": ["--config", "{folder}/conf_raises.py", APP],
    "config-bad-hook": ["--config", "{folder}/conf_bad_hook.py", APP],
    "config-module-missing": ["--config", "python:nothing_of_that_name", APP],
    "config-no-python": ["--check-config", "--config", "{folder}/notes.txt", APP],
    "check-config": ["--check-config", APP],
    "check-config-file": ["--check-config", "--config", "{folder}/conf_good.py", APP],
    "check-config-missing-module": ["--check-config", "nothing:application"],
    "check-config-import-error": ["--check-config", "broken_import:application"],
    "help": ["--help"],
    "version": ["--version"],
    "missing-certificate": ["--certfile", "/nowhere/cert", "--keyfile", "/nowhere/key", APP],
    "missing-log-config": ["--log-config", "/nowhere/log.ini", APP],
    "log-file-in-no-folder": ["--error-logfile", "/nowhere/error.log", APP],
    "pid-file-in-no-folder": ["--pid", "/nowhere/pid", APP],
}


# At least one of the two keeps running.
RUN_ON = {"exits-at-import", "bad-log-level", "bad-umask"}


def observed(kind, arguments, env=None, runs_on=False):
    outcome = run(
        kind, "--bind", "127.0.0.1:0", "--pythonpath", "{folder}", *arguments, files=FILES, env=env,
        seconds=60, may_run_on=runs_on,
    )
    print(outcome)
    return {
        "exit code": outcome.code,
        # Names of Python's exceptions, in a traceback or alone.
        "exceptions": sorted({
            line for line in outcome.text.splitlines()
            if re.match(r"(ModuleNotFoundError|ImportError|SyntaxError|ValueError|AttributeError): ", line)
        }),
        "says something": bool(outcome.text.strip()),
    }


@pytest.mark.parametrize("name", CASES)
def test_outcome(name):
    compare(f"exit-codes/{name}", *both(lambda kind: observed(kind, CASES[name], runs_on=name in RUN_ON)))


def test_bad_environment():
    compare("exit-codes/bad-cmd-args", *both(lambda kind: observed(kind, [APP], env={"GUNICORN_CMD_ARGS": "--workers many"})))


def test_flags_from_the_environment():
    def scenario(kind):
        with Server(kind, "lifecycle:application", env={"GUNICORN_CMD_ARGS": "--workers=2 --umask 0o27"}) as server:
            until("two workers", lambda: len(server.workers()) == 2)
            return {"status": server.get("/pid").status, "umask": server.get("/umask").text}
    compare("exit-codes/flags-from-the-environment", *both(scenario))


def test_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        compare("exit-codes/port-in-use", *both(lambda kind: observed(kind, ["--bind", address, APP])))


def test_pid_file_of_a_living_process(tmp_path):
    def scenario(kind):
        # One for each: the two run at the same time, and oxicorn replaces its file.
        pid_file = tmp_path / kind
        pid_file.write_text("1\n")
        return observed(kind, ["--pid", str(pid_file), APP], runs_on=True)
    compare("exit-codes/pid-file-of-a-living-process", *both(scenario))


def test_daemon(tmp_path):
    def scenario(kind):
        pid_file = tmp_path / kind
        # `run` removes its folder after the command.
        flags = ["--chdir", "/", "--daemon", "--pid", str(pid_file), "--error-logfile", str(tmp_path / f"{kind}.log")]
        outcome = run(kind, "--bind", "127.0.0.1:0", *flags, "lifecycle:application")
        pid = int(until("a pid file", lambda: pid_file.exists() and pid_file.read_text().strip()))
        until("a worker", lambda: processes.children(pid))
        facts = {
            "exit code of the parent": outcome.code,
            "session of its own": processes.stat(pid)[3] != processes.stat("self")[3],
            "parent": processes.stat(pid)[1],
        }
        os.kill(pid, signal.SIGTERM)
        until("its end", lambda: not processes.alive(pid))
        return {**facts, "pid file left": pid_file.exists()}
    compare("exit-codes/daemon", *both(scenario))
