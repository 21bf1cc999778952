"""The config file: where it is found, its values, its errors, and hooks that raise."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

from harness import OXICORN, Server, environment_of, until

OXICORN_COMMAND = [sys.executable, "-m", "oxicorn"]
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served"]
"""


def ends(folder, *arguments, variables=None, **files):
    """Runs the command to its end; returns exit code and output."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    done = subprocess.run(
        [*OXICORN_COMMAND, "--bind", "127.0.0.1:0", *arguments, "plain:application"],
        cwd=folder, env=environment_of({"HOME": str(folder), **(variables or {})}), capture_output=True, text=True, timeout=60, check=False,
    )
    return done.returncode, done.stdout + done.stderr


def printed(folder, *arguments, **files):
    """The printed settings by name."""
    code, text = ends(folder, "--print-config", *arguments, plain=APP, **files)
    assert code == 0, text
    return {line.split(" = ")[0].strip(): line.split(" = ", 1)[1].split(" # ")[0].strip() for line in text.splitlines() if " = " in line}


def test_values_of_every_type_are_read(tmp_path):
    settings = printed(tmp_path, "-c", "conf.py", conf="""
import pathlib, ssl
raw_env = ("A=b", "C=d")
workers, threads, umask = 3, "2", 0o027
preload_app = False
accesslog = None
pidfile = pathlib.Path(__file__).parent / "pid"
proxy_protocol = True
secure_scheme_headers = {"X-Scheme": "https"}
logconfig_dict = {"version": 1}
ssl_version = ssl.PROTOCOL_TLS
cert_reqs = ssl.CERT_OPTIONAL
class worker_class:
    __module__, __qualname__ = "gunicorn.workers.sync", "SyncWorker"
""")
    assert settings["raw_env"] == "A=***,C=***"
    assert (settings["workers"], settings["threads"], settings["umask"]) == ("3", "2", "0o27")
    assert settings["pidfile"] == str(tmp_path / "pid")
    assert settings["proxy_protocol"] == "auto"
    assert settings["secure_scheme_headers"] == "X-SCHEME=https"
    assert settings["logconfig_dict"] == '{"version": 1}'
    assert (settings["ssl_version"], settings["cert_reqs"]) == ("TLS", "1")
    assert settings["worker_class"] == "gunicorn.workers.sync.SyncWorker"


@pytest.mark.parametrize("place", ["conf.py", "file:conf.py", "python:conf", None])
def test_places(tmp_path, place):
    arguments = ("-c", place) if place else ()
    file = "conf" if place else "oxicorn.conf"
    assert printed(tmp_path, *arguments, **{file: "workers = 7"})["workers"] == "7"


@pytest.mark.parametrize("text, says", [
    ("workers = 'many'", ["setting workers", '"many"', "whole number"]),
    ("workers = object()", ["setting workers", "an object"]),
    ("raw_env = {'A': 'b'}", ["setting raw_env", "a dictionary", "a list of texts"]),
    ("def post_fork(worker): pass", ["setting post_fork", "a function of 1 arguments", "a function of 2 arguments"]),
    ("def ssl_context(config, factory): pass", ["setting ssl_context", "certfile"]),
    ("worker_class = 'gevent'", ["setting worker_class", "threads"]),
    ("1 / 0", ["conf.py", "line 1", "ZeroDivisionError"]),
    ("workers = (", ["conf.py", "SyntaxError"]),
    ("import nowhere_at_all", ["conf.py", "ModuleNotFoundError"]),
    ("raise SystemExit(7)", ["conf.py", "SystemExit"]),
])
def test_what_is_wrong_is_said(tmp_path, text, says):
    code, output = ends(tmp_path, "-c", "conf.py", plain=APP, conf=text)
    assert code == 1, output
    assert all(part in output for part in says), output
    assert "config_file.py" not in output, output


def server(config, *flags, **more):
    files = {"gunicorn.conf.py": config, "plain.py": APP}
    return Server(OXICORN, "plain:application", "--pythonpath", "{folder}", *flags, files=files, **more)


def test_it_is_executed_anew_on_hup():
    with server("workers = 1\n", expects=["Reload failed"]) as running:
        file = running.folder / "gunicorn.conf.py"
        until("one", lambda: len(running.workers()) == 1)
        # In the same second and of the same length, so a cache would miss the change.
        file.write_text("workers = 3\n")
        running.signal(signal.SIGHUP)
        until("three", lambda: "Generation 2 serves with 3" in running.error_text() and len(running.workers()) == 3)
        file.write_text("workers = 1/0\n")
        running.signal(signal.SIGHUP)
        until("the reason", lambda: "ZeroDivisionError" in running.error_text())
        assert len(running.workers()) == 3 and running.get("/").status == 200


HOOK = "def {name}({arguments}):\n    raise ValueError('raised by a hook')\n"


@pytest.mark.parametrize("name, arguments, code", [
    ("on_starting", "server", 1),
    ("when_ready", "server", 1),
    ("nworkers_changed", "server, new, old", 1),
    ("pre_fork", "server, worker", 3),
    ("post_fork", "server, worker", 3),
    ("post_worker_init", "worker", 3),
])
def test_a_hook_that_raises_ends_the_start(tmp_path, name, arguments, code):
    found, output = ends(tmp_path, "-c", "conf.py", plain=APP, conf=HOOK.format(name=name, arguments=arguments))
    assert found == code, output
    assert f"Exception in the hook {name}" in output and "raised by a hook" in output, output


@pytest.mark.parametrize("name, arguments, act", [
    ("child_exit", "server, worker", signal.SIGHUP),
    ("worker_exit", "server, worker", signal.SIGHUP),
    ("on_reload", "server", signal.SIGHUP),
])
def test_a_hook_that_raises_later_does_no_harm(name, arguments, act):
    with server(HOOK.format(name=name, arguments=arguments), expects=["hook"]) as running:
        running.signal(act)
        until("its traceback", lambda: "raised by a hook" in running.error_text())
        running.wait_ready()


def test_a_worker_told_by_abrt_calls_its_hook():
    with server("def worker_abort(worker): worker.log.info('told')\n", expects=["exited with code 1", "(?i)worker"]) as running:
        (worker,) = running.workers()
        subprocess.run(["kill", "-ABRT", str(worker)], check=True)
        until("the hook", lambda: "told" in running.error_text())
        until("another", lambda: running.workers() not in ([worker], []))


def test_a_timeout_calls_worker_abort():
    with server("import time\ntimeout = 1\ndef worker_abort(worker): worker.log.info('told')\n"
                "def pre_request(worker, req):\n    if req.path == '/slow': time.sleep(3)\n", expects=["."]) as running:
        assert running.get("/slow").status == 504
        until("the hook", lambda: "told" in running.error_text())


def test_post_request_may_take_fewer_arguments_and_comes_after_the_body():
    config = """
def post_request(worker, req):
    worker.log.info("done with %s", req.path)
"""
    with server(config) as running:
        assert running.get("/one").text == "served"
        until("the hook", lambda: "done with /one" in running.error_text())


EMBEDDING = """
import sys
from oxicorn.app.base import BaseApplication
from plain import application

class Standalone(BaseApplication):
    def __init__(self, options):
        self.options = options
        super().__init__()

    def load_config(self):
        for name, value in self.options.items():
            if name in self.cfg.settings and value is not None:
                self.cfg.set(name.lower(), value)

    def load(self):
        return application

def ready(server):
    server.log.info("ready with %s", server.cfg.workers)

Standalone({"bind": "127.0.0.1:0", "workers": 2, "errorlog": sys.argv[1], "when_ready": ready, "other": 1}).run()
"""


def test_a_program_embeds_the_server(tmp_path):
    (tmp_path / "plain.py").write_text(APP)
    (tmp_path / "program.py").write_text(EMBEDDING)
    log = tmp_path / "error.log"
    process = subprocess.Popen(
        [sys.executable, "program.py", str(log)], cwd=tmp_path,
        env=environment_of({"GUNICORN_CMD_ARGS": "--workers 5", "HOME": str(tmp_path)}),
    )
    try:
        until("it serves", lambda: log.exists() and "serves with 2 workers" in log.read_text())
        assert "ready with 2" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(30) == 0


INITIALISED = """
import sys
from {module} import Application
from plain import application

class Own(Application):
    def init(self, parser, opts, args):
        print("init", opts.threads, opts.bind, *args, flush=True)
        return {{"workers": 3, "threads": 4, "proc_name": "own", "bind": "127.0.0.1:0"}}

    def load(self):
        return application

Own("%(prog)s [OPTIONS]").run()
"""


@pytest.mark.parametrize("module", ["gunicorn.app.base", "oxicorn.app.base"])
def test_a_program_has_settings_below_all_others(tmp_path, module):
    """`init` of an Application: config file, environment and command line override it."""
    (tmp_path / "plain.py").write_text(APP)
    (tmp_path / "program.py").write_text(INITIALISED.format(module=module))
    (tmp_path / "conf.py").write_text("workers = 1\nproc_name = 'of_the_file'\nraw_env = ['A=b']\n")
    done = subprocess.run(
        [sys.executable, "program.py", "--threads", "2", "--print-config", "over"], cwd=tmp_path,
        env=environment_of({"GUNICORN_CMD_ARGS": "--workers 2 --config conf.py", "HOME": str(tmp_path)}), capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == "init 2 None over"
    values = dict(line.split(" # ")[0].replace(" ", "").split("=", 1) for line in lines if "=" in line)
    assert (values["workers"], values["threads"], values["proc_name"]) == ("2", "2", "of_the_file")


def test_a_program_with_init_serves(tmp_path):
    (tmp_path / "plain.py").write_text(APP)
    (tmp_path / "program.py").write_text(INITIALISED.format(module="oxicorn.app.base"))
    log = tmp_path / "error.log"
    process = subprocess.Popen(
        [sys.executable, "program.py", "--error-logfile", str(log), "--workers", "2"], cwd=tmp_path,
        env=environment_of({"HOME": str(tmp_path)}), stdout=subprocess.DEVNULL,
    )
    try:
        until("it serves", lambda: log.exists() and "serves with 2 workers" in log.read_text())
        assert "Using worker: gthread" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(30) == 0


THREADED = """
import logging
import threading

def talk():
    log = logging.getLogger("gunicorn.error")
    while True:
        log.info("talking")

for _ in range(2):
    threading.Thread(target=talk, daemon=True).start()
"""


def swallow(receiver):
    """Reads from all clients until the receiver is closed."""
    def read(connection):
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=read, args=(receiver.accept()[0],), daemon=True).start()


def ready(worker):
    """Whether it has request threads: a worker that waits for a lock after the fork never gets any."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{worker}/task")) > 1
    return False


def test_a_thread_of_the_config_file_does_no_harm():
    """A thread logs without pause while workers are forked; no worker may wait for a lock that it held."""
    # Lines to such a receiver wait for each other.
    receiver = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=swallow, args=(receiver,), daemon=True).start()
    flags = ["--error-logfile", "/dev/null", "--log-syslog", "--log-syslog-to", "tcp://127.0.0.1:%d" % receiver.getsockname()[1]]
    with receiver, server(THREADED, "--workers", "4", *flags, expects=["was killed by SIGKILL"]) as running:
        until("four workers", lambda: len(running.workers()) == 4)
        for round in range(30):
            workers = until("a worker that has served", lambda: [it for it in running.workers() if ready(it)])
            os.kill(workers[round % len(workers)], signal.SIGKILL)
            until("its end", lambda: workers[round % len(workers)] not in running.workers())
        until("four workers", lambda: len(running.workers()) == 4)
        until("four that serve", lambda: all(ready(worker) for worker in running.workers()))
        assert running.get("/").text == "served"


PASTE = """
[app:main]
paste.app_factory = factory:make

[app:other]
paste.app_factory = factory:make
text = other
"""
FACTORY = """
def make(global_conf, text="main"):
    body = (text + global_conf["tone"]).encode()

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    return application
"""
LOGGERS = """
[loggers]
keys = root, error

[handlers]
keys = file

[formatters]
keys = plain

[logger_root]
handlers = file

[logger_error]
handlers = file
qualname = gunicorn.error
propagate = 0

[handler_file]
class = FileHandler
args = ("python.log",)
formatter = plain

[formatter_plain]
format = by python: %(message)s
"""


@pytest.mark.parametrize("section, text", [("", "main!"), ("#other", "other!")])
def test_an_application_of_a_paste_file(section, text):
    pytest.importorskip("paste.deploy")
    files = {"site.ini": PASTE, "factory.py": FACTORY}
    with Server(OXICORN, None, "--pythonpath", "{folder}", "--paste", f"site.ini{section}", "--paste-global", "tone=!",
                files=files) as running:
        assert running.get("/").text == text


def test_a_paste_file_with_loggers_configures_them():
    pytest.importorskip("paste.deploy")
    files = {"site.ini": PASTE + LOGGERS, "factory.py": FACTORY}
    with Server(OXICORN, None, "--pythonpath", "{folder}", "--paste", "site.ini", "--paste-global", "tone=!",
                files=files) as running:
        until("a record", lambda: "by python: Listening at" in (running.folder / "python.log").read_text())


def test_the_loggers_of_gunicorn_are_there(tmp_path):
    application = APP + "\nimport logging\nlogger = logging.getLogger('gunicorn.error')\nlogger.info('by %d handlers', len(logger.handlers))\n"
    files = {"plain.py": application}
    with Server(OXICORN, "plain:application", "--pythonpath", "{folder}", files=files) as running:
        until("the record", lambda: "[INFO] by 1 handlers" in running.error_text())


def test_every_setting_of_gunicorn_is_known(tmp_path):
    config = pytest.importorskip("gunicorn.config")
    names = {setting.name for setting in config.KNOWN_SETTINGS}
    assert names <= printed(tmp_path).keys()
    assert pathlib.Path(config.__file__).exists()
