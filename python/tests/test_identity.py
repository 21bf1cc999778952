"""The names of the server, its processes and its modules, as applications and clients see them."""

import importlib.machinery
import os
import signal
import sys

import pytest

from harness import GUNICORN, OXICORN, Scenarios, Server, until
from harness.processes import title

identity = Scenarios("identity", app="told:application")
TOLD = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(os.environ.get("SERVER_SOFTWARE", "") + "|" + environ["SERVER_SOFTWARE"]).encode()]
"""


def told(server):
    in_process, in_environ = server.get("/").text.split("|")
    return {"begins as gunicorn's": in_environ.startswith("gunicorn/27.0.1"), "the same in both": in_process == in_environ}


@identity(files={"told.py": TOLD})
def server_software(server):
    return told(server)


@identity("--preload", "--workers", "2", files={"told.py": TOLD})
def server_software_preloaded(server):
    return told(server)


@identity(files={"told.py": TOLD, "gunicorn.conf.py": """
import gunicorn
gunicorn.SERVER = "changed/1"
gunicorn.SERVER_SOFTWARE = "changed/2"
"""})
def names_changed_in_the_config_file(server):
    answer = server.get("/")
    return {"field": answer.all("server"), "software": answer.text.split("|")[1]}


@identity(files={"told.py": TOLD, "gunicorn.conf.py": """
import os
def when_ready(server):
    assert os.environ["SERVER_SOFTWARE"].startswith("gunicorn/")
"""})
def hooks_see_it(server):
    return told(server)


@identity(files={"titled.py": """
import os, setproctitle
def application(environ, start_response):
    before = setproctitle.getproctitle()
    setproctitle.setproctitle("changed by the application")
    start_response("200 OK", [])
    return [b"changed" if before else b"unknown"]
"""}, app="titled:application")
def setproctitle_in_a_worker(server):
    (worker,) = server.workers()
    answer = server.get("/").text
    return {"answer": answer, "title": title(worker)}


test_identity = identity.test()


@pytest.mark.parametrize("lines, field", [
    ("", ["oxicorn"]), ("server_header = 'mine/1 (x)'", ["mine/1 (x)"]), ("server_header = ''", []), ("server_header = False", []),
    ("import gunicorn\ngunicorn.SERVER = 'theirs'\nserver_header = 'mine'", ["mine"]), ("server_header = None", ["oxicorn"]),
])
def test_the_field_is_a_setting(lines, field):
    with Server(OXICORN, "lifecycle:application", files={"gunicorn.conf.py": lines}) as server:
        assert server.get("/ready").all("server") == field


def test_the_field_by_flag_and_variable():
    with Server(OXICORN, "lifecycle:application", "--server-header", "") as server:
        assert server.get("/ready").all("server") == []
    with Server(OXICORN, "lifecycle:application", env={"OXICORN_SERVER_HEADER": "none"}) as server:
        assert server.get("/ready").all("server") == []


def test_titles_without_the_application_are_ours():
    with Server(OXICORN, "lifecycle:application", "--name", "named") as server:
        (worker,) = server.workers()
        assert (title(server.pid), title(worker)) == ("oxicorn: master [named]", "oxicorn: worker [named]")


# A copy of the standard module that says that it belongs to the project.
SHADOW = """
import importlib.machinery as _machinery, os as _os
_standard = _os.path.dirname(_os.__file__)
_spec = _machinery.PathFinder.find_spec(__name__, [_standard])
{path}
exec(_spec.loader.get_code(__name__), globals())
OF_PROJECT = True
"""
WHOSE = """
import importlib
def application(environ, start_response):
    names = environ["QUERY_STRING"].split(",")
    whose = [name for name in names if hasattr(importlib.import_module(name), "OF_PROJECT")]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [",".join(whose).encode()]
"""


def shadow(folder):
    """Writes a module for each one of the standard library that has a source; returns their names."""
    standard = os.path.dirname(os.__file__)
    names = []
    for name in sorted(sys.stdlib_module_names - {"os", "sys", "site", "importlib", "antigravity", "this", "idlelib", "turtle", "tkinter"}):
        spec = importlib.machinery.PathFinder.find_spec(name, [standard])
        if name.startswith("_") or spec is None or not (spec.origin or "").endswith(".py"):
            continue
        if spec.submodule_search_locations:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(SHADOW.format(path="__path__ = list(_spec.submodule_search_locations)"))
        else:
            (folder / f"{name}.py").write_text(SHADOW.format(path=""))
        names.append(name)
    return names


@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--preload", "--workers", "2")])
def test_modules_of_the_project_go_before_standard_ones_as_under_gunicorn(tmp_path, flags):
    """For every module of the standard library, including those that the master loads."""
    (tmp_path / "whose.py").write_text(WHOSE)
    names = shadow(tmp_path)
    assert {"secrets", "queue", "uuid", "decimal", "pickle", "hmac"} <= set(names)
    found = {}
    for kind in (GUNICORN, OXICORN):
        with Server(kind, "whose:application", "--chdir", str(tmp_path), *flags, ready=False) as server:
            found[kind] = set(server.get("/?" + ",".join(names)).text.split(","))
    # Loaded by gunicorn's script, and common names in applications.
    assert found[OXICORN] == found[GUNICORN] | {"queue"}
    assert {"secrets", "queue", "uuid", "decimal", "pickle", "hmac"} <= found[OXICORN]


def test_folders_that_are_no_packages_stand_in_nobodys_way(tmp_path):
    (tmp_path / "whose.py").write_text(WHOSE)
    for name in ("secrets", "uuid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "template.html").write_text("")
    with Server(OXICORN, "whose:application", "--chdir", str(tmp_path), ready=False) as server:
        assert server.get("/?secrets,uuid").text == ""


@pytest.mark.parametrize("where", ["PYTHONPATH", "--pythonpath", "--chdir"])
def test_a_module_of_the_project_is_loaded_by_workers_alone(tmp_path, where):
    """A module that the master loaded would outlive a reload."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "secrets.py").write_text("import os\nLOADED_BY = os.getpid()\n")
    (project / "loads.py").write_text("""
import os, secrets
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"worker" if secrets.LOADED_BY == os.getpid() else b"another"]
""")
    flags = () if where == "PYTHONPATH" else (where, str(project))
    path = project if where == "PYTHONPATH" else tmp_path
    with Server(OXICORN, "loads:application", *flags, path=path, ready=False) as server:
        assert server.get("/").text == "worker"


def test_the_config_file_finds_the_modules_of_the_project():
    files = {
        "secrets.py": "workers = 2\n",
        "gunicorn.conf.py": "import secrets\nworkers = secrets.workers\n",
        "plain.py": "import secrets\ndef application(e, s):\n    s('200 OK', [])\n    return [str(secrets.workers).encode()]\n",
    }
    with Server(OXICORN, "plain:application", files=files, path="/nowhere") as server:
        until("two workers", lambda: len(server.workers()) == 2)
        server.signal(signal.SIGHUP)
        until("a reload", lambda: sum("serves with" in line.message or "Reload" in line.message for line in server.errors()) > 1)
        assert server.get("/").text == "2"
