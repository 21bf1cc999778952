"""A logger class of the user, and handlers and filters that hooks and applications add to the two loggers."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from harness import OXICORN, Scenarios, Server, environment_of, until

loggers = Scenarios("loggers", app="logs_own:application")
# An application with health checks that logs to the server's logger, too.
APP = """
import logging
log = logging.getLogger("gunicorn.error")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    environ["shop.user"] = "me"
    if path == "/record":
        log.warning("of the application: %s", environ["QUERY_STRING"])
    if path == "/surrogate":
        raise ValueError("lone \\udc80 surrogate")
    if path == "/errors":
        environ["wsgi.errors"].write("lone \\udc80 surrogate\\n")
    if path == "/touch":
        logging.getLogger("gunicorn.access").addFilter(lambda record: "/health" not in record.args["r"] and "/touch" not in record.args["r"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Out", "out")])
    return [b"served"]
"""
FILTER = """
import logging
class NoHealthChecks(logging.Filter):
    def filter(self, record):
        return "/health" not in record.getMessage()
"""
SUBCLASS = FILTER + """
from gunicorn import glogging
class Own(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self.access_log.addFilter(NoHealthChecks())
        self.error_log.addFilter(lambda record: not record.getMessage().startswith("of the application: hidden"))
"""
BY_ACCESS = """
from gunicorn.glogging import Logger
class Own(Logger):
    error_fmt = "%(levelname)s own %(message)s"
    def access(self, resp, req, environ, request_time):
        if req.path != "/health":
            super().access(resp, req, environ, request_time)
    def atoms(self, resp, req, environ, request_time):
        atoms = super().atoms(resp, req, environ, request_time)
        headers = dict(req.headers)
        atoms["own"] = " ".join(map(str, (
            headers.get("X-IN"), environ.get("shop.user"), resp.status, dict(resp.headers).get("X-Out"), type(request_time).__name__,
            req.method, req.uri, req.query, environ.get("HTTP_X_IN"), environ["RAW_URI"], resp.sent,
        )))
        return atoms
"""


def asked(server, *targets, last="/last"):
    """The lines of requests, without the parts that differ between runs. The last line comes after all others."""
    for target in (*targets, last):
        server.get(target, 'X-In: in "quoted"\r\n')
    until("the last line", lambda: any(last in line for line in server.access_lines()))
    return sorted(re.sub(r"\[\d\d/.*?]", "[date]", line) for line in server.access_lines() if "/ready" not in line)


def without_dates(lines):
    return sorted(re.sub(r"\[.*?\]", "[date]", line) for line in lines if "/ready" not in line)


def ended(server):
    """At the end of the server, every process and thread has written all its records."""
    server.process.terminate()
    server.wait_exit()


def surveyed(server):
    for target in ("/health", "/shown", "/last"):
        server.get(target, 'X-In: in "quoted"\r\n')
    for text in ("hidden", "shown", "last"):
        server.get(f"/record?{text}")
    ended(server)
    records = [line for line in server.error_text().splitlines() if "of the application" in line]
    return {
        "access": without_dates(line for line in server.access_lines() if "/record" not in line),
        "records": sorted(re.sub(r"\[.*?\] \[\d+\] ", "", line) for line in records),
    }


@loggers(files={"logs_own.py": APP, "gunicorn.conf.py": SUBCLASS + "logger_class = Own\n"})
def a_class_in_the_config_file(server):
    return surveyed(server)


@loggers("--workers", "2", "--preload", files={"logs_own.py": APP, "own.py": SUBCLASS, "gunicorn.conf.py": "logger_class = 'own.Own'\n"})
def a_class_by_its_name(server):
    return surveyed(server)


@loggers("--logger-class", "own.Own", "--threads", "3", files={"logs_own.py": APP, "own.py": SUBCLASS})
def a_class_by_flag(server):
    return surveyed(server)


@loggers("--access-logformat", "%(own)s|%(s)s", files={"logs_own.py": APP, "gunicorn.conf.py": BY_ACCESS + "logger_class = Own\n"})
def a_class_that_overrides(server):
    facts = surveyed(server)
    return {**facts, "all records": all(re.match(r"(INFO|WARNING) own ", line) for line in server.error_text().splitlines())}


@loggers(logs=False, files={"logs_own.py": APP, "gunicorn.conf.py": BY_ACCESS.replace("super().access(resp, req, environ, request_time)", """
            open("seen", "a").write(req.uri + chr(10))""") + "logger_class = Own\n"})
def a_class_without_an_access_log(server):
    for target in ("/health", "/shown"):
        server.get(target)
    ended(server)
    seen = server.folder / "seen"
    return {"seen": [line for line in seen.read_text().splitlines() if line != "/ready"] if seen.exists() else []}


def of_hook(hook, arguments):
    return FILTER + f"""
def {hook}({arguments}):
    logging.getLogger("gunicorn.access").addFilter(NoHealthChecks())
    logging.getLogger("gunicorn.error").addFilter(lambda record: "hidden" not in record.getMessage())
"""


for HOOK, ARGUMENTS in {"on_starting": "server", "when_ready": "server", "post_fork": "server, worker", "post_worker_init": "worker"}.items():
    def run(server):
        return surveyed(server)
    run.__name__ = f"filters_of_{HOOK}"
    loggers(files={"logs_own.py": APP, "gunicorn.conf.py": of_hook(HOOK, ARGUMENTS)})(run)
    run.__name__ = f"filters_of_{HOOK}_preloaded"
    loggers("--preload", "--threads", "2", files={"logs_own.py": APP, "gunicorn.conf.py": of_hook(HOOK, ARGUMENTS)})(run)


HANDLER = """
import logging
class File(logging.FileHandler):
    def __init__(self, name):
        super().__init__(name)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
"""


@loggers(files={"logs_own.py": APP + HANDLER + """
logging.getLogger("gunicorn.access").addHandler(File("own-access"))
logging.getLogger("gunicorn.error").addHandler(File("own-error"))
"""})
def handlers_of_the_application(server):
    facts = surveyed(server)
    own = (server.folder / "own-access").read_text().splitlines()
    errors = (server.folder / "own-error").read_text().splitlines()
    return {**facts, "own": without_dates(own), "own errors": sorted(line for line in errors if "of the app" in line)}


@loggers(files={"logs_own.py": APP + """
class Json(logging.Formatter):
    def format(self, record):
        import json
        return json.dumps({"says": record.getMessage(), "level": record.levelname})
for name in ("gunicorn.access", "gunicorn.error"):
    for handler in logging.getLogger(name).handlers:
        handler.setFormatter(Json())
"""}, expects=[r"."])
def formatters_of_the_application(server):
    asked(server, "/shown")
    server.get("/record?shown")
    until("it", lambda: "application: shown" in server.error_text())
    access = [json.loads(line) for line in server.access_lines() if line.startswith("{")]
    error = [json.loads(line) for line in server.error_text().splitlines() if "application: shown" in line]
    return {"access": sorted({re.sub(r"\[.*?\]", "[date]", line["says"]) for line in access if "/shown" in line["says"]}), "error": error}


@loggers("--log-level", "warning", files={"logs_own.py": APP + "log.setLevel(logging.DEBUG)\n"})
def a_level_of_the_application(server):
    """It also applies to the server's own lines in a worker."""
    (worker,) = server.workers()
    server.process.terminate()
    server.wait_exit()
    return {"the worker's": any(line.pid == worker and line.level == "INFO" for line in server.errors())}


SLOW = """
import logging
import time
class Slow(logging.FileHandler):
    def emit(self, record):
        time.sleep(0.03)
        super().emit(record)
logging.getLogger("gunicorn.access").addHandler(Slow("slow"))
"""


@loggers(files={"logs_own.py": APP + SLOW})
def a_slow_handler_gets_all_lines(server):
    """It takes three seconds for them, and the worker waits for it."""
    for number in range(100):
        server.get(f"/slow?{number}")
    ended(server)
    return {"lines": sum("/slow?" in line for line in (server.folder / "slow").read_text().splitlines()) or "none"}


@loggers(files={"logs_own.py": APP + """
for name in ("gunicorn.error", "gunicorn.access"):
    logging.getLogger(name).handlers.clear()
    logging.getLogger(name).propagate = True
logging.basicConfig(filename="root", level="INFO", format="%(name)s %(message)s")
"""})
def loggers_that_propagate(server):
    for target in ("/shown", "/record?shown", "/last"):
        server.get(target)
    ended(server)
    lines = (server.folder / "root").read_text().splitlines()
    return {
        "root": without_dates(line for line in lines if "GET" in line or "application" in line),
        "elsewhere": [line for line in server.access_lines() if "/ready" not in line],
    }


@loggers(files={"logs_own.py": APP + "logging.getLogger('gunicorn.access').disabled = True\n"})
def a_logger_that_is_disabled(server):
    server.get("/unseen")
    server.process.terminate()
    server.wait_exit()
    return {"lines": [line for line in server.access_lines() if "/unseen" in line]}


@loggers(files={"logs_own.py": APP, "gunicorn.conf.py": """
import logging
class Own(logging.Logger):
    def handle(self, record):
        record.msg = f"own {record.msg}"
        super().handle(record)
logging.setLoggerClass(Own)
"""})
def a_class_of_loggers(server):
    return surveyed(server)


@loggers(files={"logs_own.py": APP})
def a_filter_that_a_request_adds(server):
    """Changes apply from that request on."""
    return {"lines": asked(server, "/health?before", "/touch", "/health?after", "/shown")}


@loggers(files={"logs_own.py": APP, "gunicorn.conf.py": """
def when_ready(server):
    server.log.info("by %s", "the hook")
    server.log.access_log.info("of the hook")
"""})
def the_log_of_hooks(server):
    until("the record", lambda: "by the hook" in server.error_text())
    return {"access": [line for line in server.access_lines() if "hook" in line]}


@loggers(files={"logs_own.py": APP, "gunicorn.conf.py": "accesslog = None\n"}, logs=False)
def a_lone_surrogate(server):
    server.get("/surrogate")
    server.get("/errors")
    output = (server.folder / "output").read_text
    text = until("both", lambda: "ValueError" in output() and output().count("surrogate") > 1 and output())
    return {"exception": re.findall(r"ValueError: .*", text), "frames": "in application" in text, "errors": re.findall(r"^lone .*", text, re.M)}


@loggers(env={"TZ": "UTC"}, files={"logs_own.py": APP + "import os, time\nos.environ['TZ'] = 'Asia/Kolkata'\ntime.tzset()\n"})
def the_time_zone_of_the_application(server):
    server.get("/ready")
    line = until("a line", lambda: server.access_lines())[-1]
    server.get("/record?zone")
    error = until("a record", lambda: [line for line in server.error_text().splitlines() if "?zone" in line or ": zone" in line])[0]
    return {"access": re.search(r"[+-]\d{4}\]", line)[0], "error": re.search(r"[+-]\d{4}\]", error)[0]}


@loggers(files={"logs_own.py": APP, "gunicorn.conf.py": SUBCLASS + "logger_class = Own\n"})
def a_class_after_a_reload(server):
    before = server.workers()
    server.signal(signal.SIGHUP)
    until("other workers", lambda: (now := server.workers()) and not set(now) & set(before))
    return surveyed(server)


test_loggers = loggers.test()


def without_gunicorn(tmp_path_factory):
    """A folder with a finder that hides gunicorn."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text("""
import sys
from importlib.machinery import PathFinder
class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] == "gunicorn" else PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
""")
    return folder


@pytest.mark.parametrize("config", [SUBCLASS + "logger_class = Own\n", BY_ACCESS + "logger_class = 'own.Own'\n"])
def test_the_class_is_there_without_gunicorn(tmp_path_factory, config):
    folder = without_gunicorn(tmp_path_factory)
    files = {"logs_own.py": APP + "import gunicorn\nassert gunicorn.SERVER == 'gunicorn' and gunicorn.__version__ == '27.0.1'\n",
             "own.py": BY_ACCESS, "gunicorn.conf.py": config}
    with Server(OXICORN, "logs_own:application", files=files, path=folder, env={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
        lines = asked(server, "/health", "/shown")
        assert [line.count("/health") for line in lines] == [0, 0], lines
        found = subprocess.run([sys.executable, "-c", "import gunicorn"], env=environment_of({"PYTHONPATH": str(folder)}), check=False,
                               capture_output=True)
        assert found.returncode != 0, "the finder does not keep it away"


def test_a_class_that_cannot_be_had_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "oxicorn", "--bind", "127.0.0.1:0", "--logger-class", "nowhere.Own", "x:y"], cwd=tmp_path,
        env=environment_of({"HOME": str(tmp_path)}), capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 1 and "logger_class: nowhere.Own cannot be imported" in done.stderr, done.stderr


def test_a_reload_with_a_class_that_cannot_be_made_keeps_the_old():
    files = {"logs_own.py": APP, "gunicorn.conf.py": SUBCLASS + "logger_class = Own\n"}
    with Server(OXICORN, "logs_own:application", files=files, expects=[r"logger_class"]) as server:
        (server.folder / "gunicorn.conf.py").write_text(SUBCLASS + "class Own(Own):\n    def setup(self, cfg):\n        raise ValueError('no')\nlogger_class = Own\n")
        server.signal(signal.SIGHUP)
        until("the reason", lambda: "logger_class: ValueError: no" in server.error_text())
        assert any(line.endswith("last") for line in surveyed(server)["records"])


def test_untouched_loggers_are_left_alone():
    """The server writes its lines itself, so a worker has no logging thread."""
    with Server(OXICORN, "logs_own:application", files={"logs_own.py": APP}) as server:
        asked(server, "/shown")
        (worker,) = server.workers()
        names = {open(f"/proc/{worker}/task/{task}/comm").read().strip() for task in os.listdir(f"/proc/{worker}/task")}
        assert "logging" not in names
        server.get("/touch")
        asked(server, "/shown", last="/final")
        names = {open(f"/proc/{worker}/task/{task}/comm").read().strip() for task in os.listdir(f"/proc/{worker}/task")}
        assert "logging" in names
