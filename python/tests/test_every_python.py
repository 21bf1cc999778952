"""A few tests on every CPython that the wheel supports: the environments of OXICORN_TESTS_PYTHONS, or the tests' own."""

import json
import os
import pathlib
import sys
from signal import SIGHUP

import pytest

from harness import OXICORN, Server, run, until

ENVIRONMENTS = os.environ.get("OXICORN_TESTS_PYTHONS", "").split() or [sys.prefix]
pytestmark = [
    pytest.mark.smoke,
    pytest.mark.parametrize("python", [pytest.param(f"{path}/bin/python", id=pathlib.Path(path).name) for path in ENVIRONMENTS]),
]


def test_version_and_module(python):
    said = run(OXICORN, "--version", python=python)
    assert said.code == 0 and "oxicorn" in said.text, said


def test_serves(python):
    with Server(OXICORN, "mirror:application", "--workers", "2", "--threads", "2", python=python, expects=[r"ValueError"]) as server:
        environ = json.loads(server.get("/a%20b?c", "X-Field: v\r\n").body)
        assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_X_FIELD"]) == ("/a b", "c", "v")
        assert environ["wsgi.multithread"] is True and environ["wsgi.multiprocess"] is True
        with server.connect() as client:
            assert client.request("POST", "/echo", b"x" * 100000).body == b"x" * 100000
            assert client.get("/generated").body == b"first second"
            assert client.get("/written").body == b"written twice and returned"
            assert len(client.get("/file-exact").body) == 100000
            assert client.get("/fails").status == 500
        assert "ValueError: before start_response" in server.error_text()
        server.get("/errors")
        until("what was written to wsgi.errors", lambda: "line two" in server.error_text())


def test_validates(python):
    with Server(OXICORN, "validated:application", "--threads", "2", python=python) as server:
        for path in ("/plain", "/generated", "/written", "/closing", "/no-content"):
            assert server.get(path).status < 300


@pytest.mark.parametrize("preload", [False, True], ids=["each", "preload"])
def test_reloads(python, preload):
    with Server(OXICORN, "lifecycle:application", "--workers", "2", *(["--preload"] if preload else []), python=python) as server:
        until("two workers", lambda: len(server.workers()) == 2)
        old = server.workers()
        server.signal(SIGHUP)
        until("new workers", lambda: len(server.workers()) == 2 and not set(old) & set(server.workers()))
        assert server.get("/pid").status == 200


def test_import_errors(python):
    missing = run(OXICORN, "--bind", "127.0.0.1:0", "nothing_of_that_name:application", python=python)
    assert missing.code == 3 and "ModuleNotFoundError: No module named 'nothing_of_that_name'" in missing.text, missing
    attribute = run(OXICORN, "--bind", "127.0.0.1:0", "lifecycle:nothing", python=python)
    assert attribute.code == 4, attribute


def test_config_file_and_hooks(python):
    config = "workers = 2\ndef post_fork(server, worker):\n    worker.log.info('forked %d', worker.age)\n"
    with Server(OXICORN, "lifecycle:application", "--config", "{folder}/c.py", files={"c.py": config}, python=python) as server:
        until("both hooks", lambda: "forked 1" in server.error_text() and "forked 2" in server.error_text())


def test_is_controlled(python):
    with Server(OXICORN, "lifecycle:application", "--workers", "2", python=python) as server:
        def ctl(*words):
            return run(OXICORN, "ctl", "--socket", str(server.folder / ".gunicorn/gunicorn.ctl"), *words, python=python)
        assert json.loads(ctl("status", "--json").text)["server"]["pid"] == server.pid
        assert "generation 2 serves" in ctl("reload", "--wait").text
        assert ctl("drain").code == 0
