"""What is written to which log: access log formats, levels, files, syslog, statsd, Python's logging."""

import json
import re
import socket
import threading

from harness import Scenarios, Server, until

logs = Scenarios("logs")
ATOMS = (
    "h %(h)s l %(l)s u %(u)s r %(r)s m %(m)s U %(U)s q %(q)s H %(H)s s %(s)s st %(st)s B %(B)s b %(b)s f %(f)s a %(a)s "
    "in %({x-in}i)s IN %({X-IN}i)s missing %({x-none}i)s out %({content-type}o)s env %({SERVER_PROTOCOL}e)s "
    "raw %({raw_uri}e)s none %({NOPE}e)s percent %% end"
)
TIMES = "t %(t)s T %(T)s M %(M)s D %(D)s L %(L)s p %(p)s"
FIELDS = 'Referer: http://ref/"quoted"\r\nUser-Agent: agent/1.0 \\ "x"\r\nX-In: value\r\n'


def line_of(server, target, fields="", mark=None):
    server.get(target, fields)
    return until("its line", lambda: next((line for line in server.access_lines() if (mark or target) in line), None))


@logs("--access-logformat", ATOMS, app="mirror:application")
def atoms(server):
    facts = {
        "get": line_of(server, "/plain?x=%22&y", FIELDS, "x=%22"),
        "nothing given": line_of(server, "/ready?bare"),
        "empty": line_of(server, "/empty?e"),
        "no content": line_of(server, "/no-content?n"),
        "fails": line_of(server, "/fails?f"),
        "user": line_of(server, "/ready?u", "Authorization: Basic dXNlcjpwYXNz\r\n"),
        "bad user": line_of(server, "/ready?w", "Authorization: Basic !!!\r\n"),
        "latin-1": line_of(server, "/ready?l", "X-In: caf\xe9\r\n"),
        "control": line_of(server, "/ready?c", "X-In: a\tb\r\n"),
    }
    server.expects.append(r"ValueError")
    return facts


@logs("--access-logformat", TIMES)
def times(server):
    def shape(line):
        return re.sub(r"\d+", lambda found: "9" * min(len(found[0]), 2), re.sub(r"/[A-Z][a-z]{2}/", "/Mon/", line))
    server.get("/ready")
    line = until("a line", lambda: server.access_lines())[-1]
    parts = re.fullmatch(r"t (\[.*\]) T (\S+) M (\S+) D (\S+) L (\S+) p (\S+)", line)
    assert parts, line
    return {
        "time": shape(parts[1]), "seconds": parts[2], "milliseconds": parts[3].isdecimal(), "microseconds": parts[4].isdecimal(),
        "decimals": re.sub(r"\d", "9", parts[5]), "pid": re.sub(r"\d+", "9", parts[6]),
        "pid is the worker's": str(server.workers()[0]) in parts[6],
    }


@logs("--access-logformat", "%(x)s %(h)s %%")
def unknown_atom(server):
    server.get("/ready")
    return {"line": until("a line", lambda: server.access_lines())[-1]}


@logs("--log-level", "debug", app="mirror:application")
def level_debug(server):
    server.get("/ready")
    return {"debug lines": any(line.level == "DEBUG" for line in server.errors())}


@logs("--log-level", "warning", app="mirror:application")
def level_warning(server):
    server.get("/ready")
    return {"levels": sorted({line.level for line in server.errors()}), "access": len(until("a line", lambda: server.access_lines())) > 0}


@logs("--log-level", "critical", app="mirror:application")
def level_critical(server):
    server.get("/fails")
    return {"error log": server.error_text()}


@logs("--access-logfile", "-", "--error-logfile", "-", logs=False, app="mirror:application")
def standard_streams(server):
    server.get("/errors")
    text = (server.folder / "output").read_text
    until("all lines", lambda: "GET /errors" in text() and "errors says" in text())
    return {"in the error log": "line one" in text()}


@logs(logs=False, app="mirror:application")
def by_default(server):
    server.get("/ready?unseen")
    return {"access": "?unseen" in (server.folder / "output").read_text()}


@logs("--capture-output", app="mirror:application")
def capture_output(server):
    server.get("/prints")
    text = until("what was printed", lambda: "prints says hello" in server.error_text() and server.error_text())
    return {"stdout": "prints says hello" in text, "stderr": "stderr says hello" in text}


@logs(app="mirror:application")
def printed_without_capture(server):
    server.get("/prints")
    output = (server.folder / "output").read_text
    until("what was printed", lambda: "stderr says hello" in output())
    return {"in the log": "says hello" in server.error_text(), "stdout": "prints says hello" in output()}


@logs(app="mirror:application")
def wsgi_errors(server):
    server.get("/errors")
    text = until("all of it", lambda: "line two" in server.error_text() and server.error_text())
    return {"lines": text[text.index("errors says"):].splitlines()[:3]}


@logs(app="mirror:application", expects=[r"ValueError"])
def traceback(server):
    server.get("/fails-chained?secret")
    line = until("a traceback", lambda: [line for line in server.errors() if line.exception])[0]
    return {
        "level": line.level, "exception": line.exception, "frames": line.frames[-2:], "names the path": "/fails-chained" in line.message,
        "the cause too": "KeyError: 'missing'" in line.more, "pid": line.pid == server.workers()[0],
    }


@logs(app="mirror:application")
def lines_of_a_life(server):
    """Level and process, without the text."""
    (worker,) = server.workers()
    server.process.terminate()
    server.wait_exit()
    records = server.errors()
    return {
        "levels": sorted({line.level for line in records}),
        "the master's": any(line.pid == server.pid for line in records),
        "the worker's": any(line.pid == worker for line in records),
        "the address": any(f"http://127.0.0.1:{server.address[1]}" in line.message for line in records),
        "without head": [line.message for line in records if not line.level],
    }


class Udp:
    """A UDP server that keeps the datagrams."""

    def __init__(self, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0.1)
        self.received, self.ended = [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended:
            try:
                self.received += self.socket.recv(65536).decode("utf-8", "replace").split("\n")
            except TimeoutError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self.socket.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]


def syslogged(kind, *flags):
    with Udp() as udp:
        address = f"udp://127.0.0.1:{udp.port}"
        with Server(kind, "mirror:application", "--log-syslog", "--log-syslog-to", address, *flags, "--name", "named") as server:
            server.get("/plain?sys")
            line = until("the access line", lambda: next((text for text in udp.received if "/plain?sys" in text), None))
            start = until("a line of the error log", lambda: next((text for text in udp.received if "127.0.0.1:" in text and "/plain" not in text), None))
            # Python's handler ends each message with NUL.
            return {
                "access head": re.sub(r"\d{2,}]", "pid]", line.split("127.0.0.1")[0]), "nul": line.endswith("\0"), "error priority": start.split(">")[0],
                "in the file too": any("?sys" in text for text in server.access_lines()),
            }


@logs.by_kind
def syslog(kind):
    return syslogged(kind)


@logs.by_kind
def syslog_with_all_settings(kind):
    return syslogged(kind, "--log-syslog-prefix", "prefix", "--log-syslog-facility", "local3")


@logs.by_kind
def syslog_without_access(kind):
    with Udp() as udp:
        flags = ["--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{udp.port}", "--disable-redirect-access-to-syslog"]
        with Server(kind, "mirror:application", *flags) as server:
            server.get("/plain?sys")
            until("the file", lambda: any("?sys" in text for text in server.access_lines()))
            return {"by syslog": any("?sys" in text for text in udp.received)}


@logs.by_kind
def statsd(kind):
    with Udp() as udp:
        flags = ["--statsd-host", f"127.0.0.1:{udp.port}", "--statsd-prefix", "pre", "--dogstatsd-tags", "a:1,b:2"]
        with Server(kind, "mirror:application", *flags, expects=[r"ValueError"]) as server:
            server.get("/plain")
            server.get("/fails")
            until("a duration", lambda: sum("duration" in text for text in udp.received) >= 2)
            for metric in ("status.500", "exception", "workers"):
                until(metric, lambda: any(metric in text for text in udp.received))
            seen = {re.sub(r":[\d.]+\|", ":9|", text) for text in udp.received}
            return {"metrics": sorted(seen)}


LOGGING = {
    "version": 1,
    "formatters": {"f": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {"h": {"class": "logging.FileHandler", "filename": "FILE", "formatter": "f"}},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["h"], "propagate": False},
        "gunicorn.access": {"level": "INFO", "handlers": ["h"], "propagate": False},
    },
    "root": {"level": "INFO", "handlers": ["h"]},
}


def through_python(server):
    server.get("/plain?log")
    server.get("/fails")
    log = server.folder / "python.log"
    text = until("all lines", lambda: log.exists() and "/plain?log" in log.read_text() and "ValueError" in log.read_text() and log.read_text())
    lines = text.splitlines()
    access = next(line for line in lines if "/plain?log" in line)
    return {
        "access": access.split(" ")[:3], "error": sorted({line.split(" ")[1] for line in lines if line.startswith("gunicorn.error ")}),
        "traceback": "Traceback (most recent call last):" in text,
    }


@logs("--log-config-json", "{folder}/log.json", app="mirror:application", expects=[r"."], files={"log.json": json.dumps(LOGGING).replace("FILE", "python.log")})
def log_config_json(server):
    return through_python(server)


@logs("--config", "{folder}/conf.py", app="mirror:application", expects=[r"."], files={"conf.py": "logconfig_dict = " + repr(LOGGING).replace("FILE", "python.log")})
def log_config_dict(server):
    return through_python(server)


OBJECTS = f"""
import logging

class Marked(logging.Filter):
    def filter(self, record):
        record.msg = "marked " + str(record.msg)
        return True

class Shouting(logging.Formatter):
    def format(self, record):
        return super().format(record)

def handler(place, mode):
    assert isinstance(mode, tuple)
    return logging.FileHandler(place, *mode)

logconfig_dict = {LOGGING!r}
logconfig_dict["filters"] = {{"marked": {{"()": Marked}}}}
logconfig_dict["handlers"] = {{"h": {{"()": handler, "place": "python.log", "mode": ("a",), "formatter": "f", "filters": ["marked"]}}}}

def when_ready(server):
    server.log.info("is a class: %s", isinstance(server.cfg.logconfig_dict["filters"]["marked"]["()"], type))
"""


@logs("--config", "{folder}/conf.py", app="mirror:application", expects=[r"."], files={"conf.py": OBJECTS})
def log_config_dict_with_objects(server):
    facts = through_python(server)
    text = (server.folder / "python.log").read_text()
    return {**facts, "marked": "marked Listening at" in text, "kept": "marked is a class: True" in text}


INI = """
[loggers]
keys=root,error,access
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
level=INFO
handlers=h
[logger_error]
level=INFO
handlers=h
propagate=0
qualname=gunicorn.error
[logger_access]
level=INFO
handlers=h
propagate=0
qualname=gunicorn.access
[handler_h]
class=FileHandler
args=('python.log',)
formatter=f
[formatter_f]
format=%(name)s %(levelname)s %(message)s
"""


@logs("--log-config", "{folder}/log.ini", app="mirror:application", expects=[r"."], files={"log.ini": INI})
def log_config(server):
    return through_python(server)


test_logs = logs.test()
