"""logconfig, wsgi.errors and print: both servers write the same files."""

import base64
import fcntl
import json
import os
import re
import signal
import subprocess

import pytest

from harness import GUNICORN, OXICORN, Server, environment_of, processes, until
from harness.server import program

BOTH = pytest.mark.parametrize("kind", [GUNICORN, OXICORN])

APP = """
def application(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        raise ValueError("on purpose")
    if environ["PATH_INFO"] == "/print":
        print("printed by the application", flush=True)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Answer", "42")])
    return [b"hello"]
"""

# In the working directory: typical handlers and a filter.
EXTRAS = """
import logging, os, threading, time

class NotReady(logging.Filter):
    def filter(self, record):
        return not (isinstance(record.args, dict) and record.args["U"] == "/ready")

class Slow(logging.FileHandler):
    def emit(self, record):
        while "/quick" in self.format(record) and not os.path.exists("gate"):
            time.sleep(0.005)
        super().emit(record)

class Failing(logging.Handler):
    def emit(self, record):
        raise RuntimeError("this handler never works")
"""


def configuration(**more):
    """One file for all records, another for requests."""
    handler = {"class": "logging.FileHandler", "formatter": "short"}
    return {
        "formatters": {"short": {"format": "%(name)s|%(levelname)s|%(message)s"}},
        "filters": {"not_ready": {"()": "extras.NotReady"}},
        "handlers": {
            "all": {**handler, "filename": "all.log"},
            "requests": {**handler, "filename": "requests.log", "filters": ["not_ready"]},
            **more,
        },
        "root": {"level": "INFO", "handlers": []},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["all"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["all", "requests", *more], "propagate": False},
        },
    }


def serve(kind, *args, files=None, **more):
    files = {"app.py": APP, "extras.py": EXTRAS, **(files or {})}
    return Server(kind, "app:application", *args, files=files, logs=False, env={"PYTHONPATH": ""}, **more)


def read(server, name):
    path = server.folder / name
    return path.read_text() if path.exists() else ""


def wait_for(server, name, pattern):
    return until(f"{pattern!r} in {name}", lambda: re.search(pattern, read(server, name), re.MULTILINE))


JSON = ("--log-config-json", "log.json", {"log.json": json.dumps(configuration())})
INI = ("--log-config", "log.ini", {"log.ini": """
[loggers]
keys=root, gunicorn.error, gunicorn.access
[handlers]
keys=all, requests
[formatters]
keys=short
[logger_root]
level=INFO
handlers=
[logger_gunicorn.error]
level=INFO
handlers=all
propagate=0
qualname=gunicorn.error
[logger_gunicorn.access]
level=INFO
handlers=all, requests
propagate=0
qualname=gunicorn.access
[handler_all]
class=FileHandler
formatter=short
args=("all.log",)
[handler_requests]
class=FileHandler
formatter=short
args=("requests.log",)
[formatter_short]
format=%(name)s|%(levelname)s|%(message)s
"""})


@BOTH
@pytest.mark.parametrize("flag, name, files", [JSON, INI], ids=["json", "ini"])
def test_records_go_to_the_loggers_of_the_configuration(kind, flag, name, files):
    with serve(kind, flag, name, files=files) as server:
        server.get("/one?two")
        assert server.get("/boom").status == 500
        line = r'^gunicorn\.access\|INFO\|127\.0\.0\.1 - - \[[^]]+\] "GET /one\?two HTTP/1\.1" 200 5 "-" "-"$'
        for log in ("all.log", "requests.log"):
            wait_for(server, log, line)
        wait_for(server, "all.log", r"^gunicorn\.error\|INFO\|Starting ")
        wait_for(server, "all.log", r"^gunicorn\.error\|ERROR\|Error handling request /?(GET )?/boom\nTraceback ")
        wait_for(server, "all.log", r"^ValueError: on purpose$")
        assert "gunicorn.error" not in read(server, "requests.log")


@BOTH
def test_a_filter_sees_the_atoms(kind):
    flag, name, files = JSON
    with serve(kind, flag, name, files=files) as server:
        server.get("/ready")
        server.get("/seen")
        wait_for(server, "requests.log", '"GET /seen ')
        assert "/ready" not in read(server, "requests.log")
        assert "/ready" in read(server, "all.log")


@BOTH
def test_files_are_opened_again(kind):
    flag, name, files = JSON
    with serve(kind, flag, name, files=files) as server:
        server.get("/before")
        wait_for(server, "requests.log", "/before")
        for log in ("all.log", "requests.log"):
            os.rename(server.folder / log, server.folder / f"{log}.1")
        server.signal(signal.SIGUSR1)

        def seen():
            server.get("/after")
            return "/after" in read(server, "requests.log") and "/after" in read(server, "all.log")
        until("the new files", seen)
        assert "/before" not in read(server, "requests.log")


@BOTH
def test_a_logger_that_is_not_named_keeps_its_file(kind):
    config = {"version": 1, "loggers": {"mine": {"level": "INFO"}}}
    flags = ["--log-config-json", "log.json", "--error-logfile", "error.log", "--access-logfile", "access.log"]
    with serve(kind, *flags, files={"log.json": json.dumps(config)}) as server:
        server.get("/kept")
        wait_for(server, "access.log", '"GET /kept ')
        wait_for(server, "error.log", r"^\[[^]]+\] \[\d+\] \[INFO\] Starting ")


@BOTH
@pytest.mark.parametrize("text", ["{", '{"handlers": {"a": {"class": "no.such.Handler"}}}'])
def test_a_configuration_that_is_none_is_a_bad_setting(kind, text, tmp_path):
    (tmp_path / "log.json").write_text(text)
    (tmp_path / "app.py").write_text(APP)
    command = [*program(kind), "--bind", "127.0.0.1:0", "--log-config-json", "log.json", "app:application"]
    done = subprocess.run(command, cwd=tmp_path, env=environment_of(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 1, done.stderr


def test_a_slow_handler_delays_no_request():
    slow = {"class": "extras.Slow", "filename": "slow.log", "formatter": "short"}
    files = {"log.json": json.dumps(configuration(slow=slow))}
    with serve(OXICORN, "--log-config-json", "log.json", files=files) as server:
        for _ in range(20):
            assert server.get("/quick").status == 200
        # It has not even written the first one yet.
        assert "/quick" not in read(server, "slow.log")
        (server.folder / "gate").touch()
        until("all of them", lambda: read(server, "slow.log").count("/quick") == 20)


def test_a_broken_configuration_is_no_reload():
    flag, name, files = JSON
    with serve(OXICORN, flag, name, files=files) as server:
        (server.folder / "log.json").write_text("{")
        server.signal(signal.SIGHUP)
        wait_for(server, "all.log", r"^gunicorn\.error\|ERROR\|Reload failed, .*logconfig")
        server.get("/as-before")
        wait_for(server, "requests.log", "/as-before")


@BOTH
def test_what_is_printed_is_captured(kind):
    flags = ["--capture-output", "--error-logfile", "error.log"]
    with serve(kind, *flags) as server:
        server.get("/print")
        wait_for(server, "error.log", "^printed by the application$")


@BOTH
def test_variables_that_the_application_sets_are_atoms(kind):
    app = APP.replace("    start_response", "    environ['REMOTE_USER'] = 'jo'\n    start_response", 1)
    flags = ["--access-logfile", "access.log", "--access-logformat",
             "%(U)s|%({REMOTE_USER}e)s|%({wsgi.url_scheme}e)s|%({no_such}e)s|%({SERVER_PROTOCOL}e)s|%({x-answer}o)s"]
    with serve(kind, *flags, files={"app.py": app}) as server:
        server.get("/who")
        wait_for(server, "access.log", r"^/who\|jo\|http\|-\|HTTP/1\.1\|42$")


CONSOLE = """
workers = 2
graceful_timeout = 2
logconfig_dict = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["console"], "propagate": False}},
}
"""


def test_a_console_that_nobody_reads_does_not_hold_up_the_master(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").write_text(CONSOLE)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
    command = [*program(OXICORN), "--bind", f"unix:{tmp_path}/socket", "app:application"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment_of(), stdout=writer, stderr=writer) as process:
        try:
            until("two workers", lambda: len(processes.children(process.pid)) == 2)
            # The pipe is full now.
            own = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
            with pytest.raises(BlockingIOError):
                while True:
                    os.write(own, b"x")
            os.close(own)
            before = processes.children(process.pid)
            for _ in range(20):
                process.send_signal(signal.SIGTTIN)
                process.send_signal(signal.SIGTTOU)
            process.send_signal(signal.SIGHUP)
            until("other workers", lambda: (now := processes.children(process.pid)) and not {*now} & {*before}, 30)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)


# Input that could break a line, control a terminal, or close quotation marks.
HOSTILE = "a\x85forged \x9b2J\\\" 200 \\"
CONFIGURED = {"log.json": json.dumps({
    "formatters": {"bare": {"format": "%(message)s"}},
    "handlers": {"all": {"class": "logging.FileHandler", "formatter": "bare", "filename": "all.log"}},
    "root": {"level": "INFO", "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["all"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["all"], "propagate": False},
    },
})}


# A class that makes the atoms itself. If gunicorn is installed, this imports gunicorn's own module.
CLASS = {"own.py": """
from oxicorn.glogging import Logger
class Own(Logger):
    def atoms(self, *seen):
        return {**super().atoms(*seen), "own": "1"}
"""}
LOGGERS = {
    "own": (("--access-logfile", "all.log"), None),
    "logconfig": (("--log-config-json", "log.json"), CONFIGURED),
    "class": (("--access-logfile", "all.log", "--logger-class", "own.Own"), CLASS),
}


@pytest.mark.parametrize("flags, files", LOGGERS.values(), ids=LOGGERS)
def test_no_client_forges_a_line(flags, files):
    formats = {
        'plain "%(a)s" "%(a).9s" %(u)s %({x}o)s': None,
        '{"agent": "%(a)s", "cut": "%(a).9s", "user": %(u)s, "status": %(s)s, "time": %(T)03d}': {
            "agent": HOSTILE, "cut": HOSTILE[:9], "user": "\u2028\u202ex", "status": 200, "time": 0,
        },
    }
    user = base64.b64encode("\u2028\u202ex:secret".encode()).decode()
    for text, expected in formats.items():
        with serve(OXICORN, *flags, "--access-logformat", text, files=files) as server:
            server.get("/", f"User-Agent: {HOSTILE}\r\nAuthorization: Basic {user}\r\n")
            wait_for(server, "all.log", "forged")
            lines = [line for line in read(server, "all.log").splitlines() if "forged" in line]
            assert len(lines) == 1 and not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", lines[0]), lines
            if expected:
                assert json.loads(lines[0]) == expected
            else:
                escaped = r'a\x85forged \x9b2J\\\" 200 \\'
                assert lines == [rf'plain "{escaped}" "a\x85forged " \u2028\u202ex -']
