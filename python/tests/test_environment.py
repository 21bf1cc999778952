"""Which environment variables the server reads, and which belong to the application."""

import signal
import subprocess
import sys

import pytest

from harness import OXICORN, Scenarios, Server, environment_of, until
from test_config_file import APP, ends

# Variables of applications, with values that are no settings.
FOREIGN = {
    "DATABASE_URL": "mysql+pymysql://u:p@h/d", "REDIS_URL": "rediss://h", "REDIS_PORT": "none", "POOL_SIZE": "0", "POOL_RECYCLE": "-1",
    "POOL_TIMEOUT": "none", "MAX_OVERFLOW": "-1", "KAFKA_BROKERS": "kafka", "KAFKA_TOPIC": "a b", "RUNNERS": "local", "WORKERS": "celery",
    "THREADS": "many", "MAX_REQUESTS": "-1", "MAX_REQUESTS_JITTER": "some", "LOG_LEVEL": "verbose",
}
environment = Scenarios("environment")


@environment(env=FOREIGN, files={"gunicorn.conf.py": "workers = 2\n"})
def variables_of_the_application(server):
    until("two workers", lambda: len(server.workers()) == 2)
    return {"seen by it": server.get("/env/REDIS_URL").text, "serves": server.get("/ready").status}


@environment(env={"WORKERS": "7", "THREADS": "3", "MAX_REQUESTS": "1", "LOG_LEVEL": "WARN"}, files={
    "gunicorn.conf.py": "workers, threads, max_requests, loglevel = 1, 1, 0, 'info'\n",
})
def variables_below_the_config_file(server):
    for _ in range(3):
        assert server.get("/ready").status == 200
    return {"workers": len(server.workers()), "levels": sorted({line.level for line in server.errors()})}


@environment(env={"WORKERS": "7", "WEB_CONCURRENCY": "2"})
def web_concurrency_counts_first(server):
    until("two workers", lambda: len(server.workers()) == 2)
    return {}


@environment("--log-level", "CRITICAL")
def levels_in_capitals(server):
    return {"log": server.error_text()}


test_environment = environment.test()


def test_a_variable_that_cannot_be_read_is_told_and_ignored():
    with Server(OXICORN, "lifecycle:application", env=FOREIGN) as server:
        warnings = [line.message for line in server.errors() if line.level == "WARNING"]
        assert sorted(line.split(":")[0] for line in warnings) == [
            "variable LOG_LEVEL", "variable MAX_REQUESTS", "variable MAX_REQUESTS_JITTER", "variable THREADS", "variable WORKERS",
        ]
        (line,) = [line for line in warnings if "WORKERS" in line]
        assert '"celery"' in line and line.endswith("it is ignored, and workers is 1 (default)")


def test_a_reload_follows_the_bare_names_of_the_env_file():
    files = {"x.env": "WORKERS=2\nPOOL_SIZE=none\n"}
    with Server(OXICORN, "lifecycle:application", "--env-file", "x.env", files=files) as server:
        until("two workers", lambda: len(server.workers()) == 2)
        (server.folder / "x.env").write_text("WORKERS=3\nLOG_LEVEL=verbose\n")
        server.signal(signal.SIGHUP)
        until("three workers", lambda: len(server.workers()) == 3)
        until("a warning", lambda: any("x.env:2: variable LOG_LEVEL" in line.message for line in server.errors()))


def test_names_of_ours_stay_strict(tmp_path):
    for name in ("OXICORN_WORKERS", "GUNICORN_WORKERS"):
        code, text = ends(tmp_path, "--check-config", plain=APP, variables={name: "celery"})
        assert code == 1 and f'variable {name}: invalid value "celery"' in text


@pytest.mark.parametrize("level", ["WARN", "Warning", "FATAL", "30", "notset"])
def test_levels_are_taken_as_python_has_them(tmp_path, level):
    code, text = ends(tmp_path, "--check-config", "--log-level", level, plain=APP)
    assert code == 0, text


def test_the_settings_of_the_service_are_not_those_of_an_application(tmp_path):
    code, text = ends(tmp_path, "--print-config", plain=APP)
    assert code == 0 and "workers" in text and "pool_size" not in text and "runners" not in text
    code, text = ends(tmp_path, "--help", plain=APP)
    assert code == 0 and "--workers" in text and "--pool-size" not in text
    code, text = ends(tmp_path, "-c", "conf.py", "--check-config", plain=APP, conf="redis_url = {'a': 1}\nrunner = 3\n")
    assert code == 0 and "redis" not in text and "runner" not in text


EMBEDDING = """
import sys
from oxicorn.app.base import BaseApplication

class Program(BaseApplication):
    def load_config(self):
        assert not hasattr(self.cfg, "pool_size") and not hasattr(self.cfg, "runners")
        for name, value in {"bind": "127.0.0.1:0", "accesslog": False, "errorlog": "error.log"}.items():
            self.cfg.set(name, value)

    def load(self):
        return lambda environ, start_response: start_response("200 OK", []) or [b"ready"]

Program().run()
"""


def test_programs_that_embed_the_server_keep_their_environment(tmp_path):
    (tmp_path / "program.py").write_text(EMBEDDING)
    process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, env=environment_of({"HOME": str(tmp_path), **FOREIGN}))
    try:
        log = tmp_path / "error.log"
        until("it serves", lambda: log.exists() and "serves with" in log.read_text())
        assert "WARNING" not in log.read_text()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".gunicorn", "error.log", "program.py"]
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("value", ["False", "None", "''"])
def test_no_access_log(value):
    with Server(OXICORN, "lifecycle:application", logs=False, files={"gunicorn.conf.py": f"accesslog = {value}\n"}) as server:
        assert server.get("/ready?seen").status == 200
        server.process.terminate()
        server.wait_exit()
        assert "?seen" not in (server.folder / "output").read_text()
        assert sorted(path.name for path in server.folder.iterdir()) == [".gunicorn", "gunicorn.conf.py", "output"]
