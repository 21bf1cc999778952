"""--reload: changed code takes over without a lost request, and code that does not load changes nothing."""

import os

import pytest

from harness import OXICORN, Server, until

ENGINES = pytest.mark.parametrize("engine", ["inotify", "poll"])

APP = """
import part

def application(environ, start_response):
    if environ["PATH_INFO"] == "/lazy":
        import lazy
        body = lazy.TEXT
    else:
        body = part.TEXT
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
"""


def text(content):
    return f"TEXT = {content!r}\n"


def serve(engine, *args, files=None, **more):
    files = {"app.py": APP, "part.py": text("one"), "lazy.py": text("late one"), **(files or {})}
    flags = ["--reload", "--reload-engine", engine, *args]
    return Server(OXICORN, "app:application", *flags, files=files, env={"PYTHONPATH": ""}, **more)


def answers(server, target, body):
    until(f"{body!r} from {target}", lambda: server.get(target).body == body.encode())


@ENGINES
def test_a_changed_module_serves(engine):
    with serve(engine, "--workers", "2") as server:
        answers(server, "/", "one")
        (server.folder / "part.py").write_text(text("the second"))
        answers(server, "/", "the second")
        until("the worker says so", lambda: "part.py modified" in server.error_text())
        assert server.error_text().count("Reloading because") == 1


@ENGINES
def test_a_module_that_was_loaded_late_is_watched_too(engine):
    with serve(engine) as server:
        answers(server, "/lazy", "late one")
        (server.folder / "lazy.py").write_text(text("late two"))
        answers(server, "/lazy", "late two")


@ENGINES
def test_code_that_does_not_load_leaves_the_old_one_serving(engine):
    expects = ["SyntaxError", "failed to load", "before it was ready", "Reload given up", "while loading"]
    with serve(engine, expects=expects) as server:
        answers(server, "/", "one")
        (server.folder / "part.py").write_text("TEXT = = 1\n")
        until("the traceback in the log", lambda: "SyntaxError" in server.error_text())
        until("the old one stays", lambda: "Reload given up" in server.error_text())
        assert server.get("/").body == b"one"
        (server.folder / "part.py").write_text(text("mended"))
        answers(server, "/", "mended")


def test_a_broken_module_that_nobody_has_loaded_yet_can_be_mended():
    expects = ["SyntaxError", "failed to load", "before it was ready", "Reload given up", "while loading"]
    with serve("inotify", expects=expects) as server:
        answers(server, "/", "one")
        (server.folder / "fresh.py").write_text("TEXT = = 1\n")
        (server.folder / "part.py").write_text("from fresh import TEXT\n")
        until("the old one stays", lambda: "Reload given up" in server.error_text())
        (server.folder / "fresh.py").write_text(text("fresh"))
        answers(server, "/", "fresh")


def test_an_application_that_does_not_load_at_the_start_tells_its_clients():
    expects = ["SyntaxError", "while loading"]
    with serve("inotify", files={"part.py": "TEXT = = 1\n"}, expects=expects) as server:
        answer = server.get("/")
        assert answer.status == 500
        assert b"SyntaxError" in answer.body and b"part.py" in answer.body
        (server.folder / "part.py").write_text(text("mended"))
        answers(server, "/", "mended")


def test_extra_files_are_watched():
    with serve("poll", "--reload-extra-file", "{folder}/settings.toml", files={"settings.toml": "a"}) as server:
        workers = server.workers()
        (server.folder / "settings.toml").write_text("ab")
        until("other workers", lambda: server.workers() and not set(workers) & set(server.workers()))


def test_without_reload_nothing_is_watched():
    with Server(OXICORN, "app:application", files={"app.py": APP, "part.py": text("one")}, env={"PYTHONPATH": ""}) as server:
        (worker,) = server.workers()
        names = {open(f"/proc/{worker}/task/{task}/comm").read().strip() for task in os.listdir(f"/proc/{worker}/task")}
        assert "reload" not in names
