"""Habits of applications and their users that must not matter, or that get a message with the remedy."""

import pathlib
import shlex
import subprocess
import sys
from signal import SIGHUP

import pytest

from harness import OXICORN, Gate, Scenarios, Server, processes, run, until
from harness.server import APPS, environment_of, program

compatibility = Scenarios("compatibility", app="compatibility:application")


def answers(server):
    def post(target):
        with server.connect() as client:
            return client.request("POST", target, b"abcdef").text
    return {"read": post("/read"), "readline": post("/readline"), "lists": server.get("/lists").text}


@compatibility()
def plain(server):
    return answers(server)


@compatibility("-k", "gunicorn.workers.sync.SyncWorker")
def full_name(server):
    return answers(server)


@compatibility.by_kind
def a_class_is_an_application(kind):
    with Server(kind, "compatibility:Class") as server:
        return {"answer": server.get("/").text}


test_compatibility = compatibility.test()


# Entry points of gunicorn from the time of pkg_resources, which some unit files still use.
@pytest.mark.parametrize("flags", [["egg:gunicorn#sync"], ["egg:gunicorn#gthread", "--threads", "2"]], ids=["sync", "gthread"])
def test_workers_by_their_entry_points(flags):
    with Server(OXICORN, "compatibility:application", "-k", *flags) as server:
        assert answers(server)["lists"] == "lists"


@pytest.mark.parametrize("name, advice", [
    ("asgi", "uvicorn"), ("instance", "uvicorn"), ("Asgi2", "uvicorn"),
    ("create_app", "write 'compatibility:create_app()'"), ("create_configured", "write 'compatibility:create_configured()'"),
])
def test_what_is_named_in_place_of_an_application_is_recognised(name, advice):
    ended = run(OXICORN, "-b", "127.0.0.1:0", f"compatibility:{name}")
    assert ended.code == 4, ended
    assert advice in ended.text, ended
    assert run(OXICORN, "--check-config", f"compatibility:{name}").code != 0


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_are_the_null_device(tmp_path, closed):
    command = shlex.join([*program(OXICORN), "-b", "127.0.0.1:0", "--error-logfile", str(tmp_path / "log"), "standard:application"])
    (tmp_path / "standard.py").write_text(STANDARD)
    environment = environment_of({"PYTHONPATH": str(APPS), "HOME": str(tmp_path)})
    process = subprocess.Popen(["sh", "-c", f"exec {command} {closed}"], cwd=tmp_path, env=environment, start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        place = tmp_path / "streams"
        until("the application has looked", lambda: place.exists() and place.read_text().endswith("\n"))
        found = place.read_text().split()
        for word in closed.split():
            assert found[int(word[0])] == "/dev/null", found
        assert "printed" not in (tmp_path / "log").read_text()
    finally:
        process.terminate()
        assert process.wait(15) == 0


STANDARD = """
import os
import sys

from lifecycle import application

print("printed", file=sys.stderr)
print("printed")
sys.stdin.read(0)
with open("streams", "w") as file:
    print(*(os.readlink("/proc/self/fd/%d" % number) for number in range(3)), file=file)
"""

LAZY = """
import sys
import types

from lifecycle import application


class Lazy(types.ModuleType):
    def __getattribute__(self, name):
        raise ImportError("what it stands for is not there")


sys.modules["lazy_one"] = Lazy("lazy_one")
import part
"""


def test_a_module_that_cannot_be_asked_for_its_file_does_not_stop_the_watching():
    files = {"app.py": LAZY, "part.py": ""}
    with Server(OXICORN, "app:application", "--reload", "--pythonpath", "{folder}", files=files) as server:
        old = server.get("/pid").text
        (server.folder / "part.py").write_text("CHANGED = True\n")
        until("a new worker", lambda: server.get("/pid").text != old)


def test_a_request_in_a_debugger_outlives_its_timeout_under_reload():
    with Gate() as gate:
        with Server(OXICORN, "lifecycle:application", "--reload", "--timeout", "1", env=gate.env) as server:
            old = server.get("/pid").text
            with server.connect() as client:
                client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                until("a remark", lambda: "takes longer than timeout" in server.error_text())
                assert "in wait" in server.error_text()
                gate.open()
                assert client.answer().text == "let go"
            assert server.get("/pid").text == old
            assert server.error_text().count("takes longer than timeout") == 1


PASTE = """
[app:main]
paste.app_factory = pasted:make

[server:main]
use = egg:{kind}#main
host = 127.0.0.1
port = 0
workers = 2
pidfile = pid
errorlog = error.log
"""


def test_pserve(tmp_path):
    (tmp_path / "site.ini").write_text(PASTE.format(kind="oxicorn"))
    (tmp_path / "pasted.py").write_text("from lifecycle import application\n\ndef make(variables):\n    return application\n")
    folder = pathlib.Path(sys.executable).parent
    environment = environment_of({"PYTHONPATH": f"{APPS}:{tmp_path}", "HOME": str(tmp_path)})
    with open(tmp_path / "output", "w") as output:
        process = subprocess.Popen([folder / "pserve", "site.ini"], cwd=tmp_path, env=environment, stdout=output, stderr=output)
    try:
        log = tmp_path / "error.log"
        until("it serves", lambda: log.exists() and "serves with 2 workers" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "output").read_text()
        assert int((tmp_path / "pid").read_text()) == process.pid
        assert "WARNING" not in log.read_text()
        assert "site.ini" in processes.title(process.pid)
    finally:
        process.terminate()
        assert process.wait(15) == 0


DEPLOYED = """
from lifecycle import application as lifecycle

RELEASE = {release!r}

def application(environ, start_response):
    if environ["PATH_INFO"] == "/release":
        start_response("200 OK", [("Content-Length", "1")])
        return [RELEASE.encode()]
    return lifecycle(environ, start_response)
"""


@pytest.mark.parametrize("how", ["PWD", "link beside"])
def test_hup_follows_a_link_to_another_release(tmp_path, how):
    for release in "12":
        folder = tmp_path / "releases" / release
        folder.mkdir(parents=True)
        (folder / "site_app.py").write_text(DEPLOYED.format(release=release))
    current = tmp_path / "current"
    current.symlink_to("releases/1")
    environment = environment_of({"PYTHONPATH": str(APPS), "HOME": str(tmp_path)})
    environment.pop("PWD", None)
    if how == "PWD":
        environment["PWD"] = str(current)
    log = tmp_path / "log"
    command = [*program(OXICORN), "-b", f"unix:{tmp_path}/socket", "--error-logfile", str(log), "site_app:application"]
    process = subprocess.Popen(command, cwd=current, env=environment)
    try:
        def release():
            return subprocess.run(["curl", "-s", "--unix-socket", str(tmp_path / "socket"), "http://a/release"],
                                  capture_output=True, text=True, check=False).stdout
        until("the first release", lambda: release() == "1")
        assert f"Loading from: {current} ({tmp_path}/releases/1)" in log.read_text()
        other = tmp_path / "next"
        other.symlink_to("releases/2")
        other.rename(current)
        process.send_signal(SIGHUP)
        until("the second release", lambda: release() == "2")
        assert f"Loading from: {current} ({tmp_path}/releases/2)" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(15) == 0
