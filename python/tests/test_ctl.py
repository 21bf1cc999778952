"""`oxicorn ctl` of the wheel."""

import json
import os
import subprocess

import pytest

from harness import OXICORN, Server, until
from harness.control_client import BIN, run, socket
from harness.server import environment_of


def ctl(server, *words):
    return run(server, "oxicorn", "ctl", *words)


APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "{length}")])
    return [b"{body}"]
"""

# Releases, and why a reload to them fails. `{n}` is the number of the script.
RELEASES = {
    "good": (APP, None),
    "slow": ("import time\ntime.sleep(0.3)\n" + APP, None),
    "syntax error": ("def application(:\n", "SyntaxError"),
    "missing module": ("import there_is_no_such_module\n", "there_is_no_such_module"),
    "exception": ("raise RuntimeError('closed today')\n", "closed today"),
    "no application": ("x = 1\n", "application"),
    "exit": ("import sys\nsys.exit(5)\n", "SystemExit: 5"),
    "sudden exit": ("import os\nos._exit(9)\n", "exited with code 9"),
    "crash": ("import os\nos.abort()\n", "crashed with SIGABRT"),
    "fleeting": (
        "import os, threading\nthreading.Timer(0.2, os._exit, [6]).start()\n" + APP, "exited with code 6",
    ),
}
FAULTS = ["", "SyntaxError", "failed to load", "Traceback"]


def release(server, name, number):
    text = RELEASES[name][0]
    body = f"{name} {number}"
    draft = server.folder / "draft"
    draft.write_text(text.replace("{body}", body).replace("{length}", str(len(body))))
    os.replace(draft, server.folder / "app.py")
    return body.encode()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("preload", [False, True])
def test_scripts_of_reloads_tell_the_truth(seed, preload):
    # A thread of the mold dies with it, and the workers do without.
    names = [name for name in RELEASES if name != "fleeting" or not preload]
    serving, number = b"good 0", 0
    flags = ["--preload"] if preload else []
    first = {"app.py": APP.replace("{body}", "good 0").replace("{length}", "6")}
    with Server(OXICORN, "app:application", "--workers", "2", *flags, files=first, env={"PYTHONPATH": ""}, expects=FAULTS) as server:
        for number in range(1, 11):
            # Each of them, in another order.
            name = names[(number * (7 if seed == 1 else 11) + seed) % len(names)]
            body, reason = release(server, name, number), RELEASES[name][1]
            code, out, err = ctl(server, "reload", "--wait", "--json")
            if reason is None:
                assert code == 0, (name, err)
                assert json.loads(out)["status"] == "reloaded"
                serving = body
            else:
                assert code == 1, (name, out, err)
                assert reason in json.loads(out)["error"], (name, out)
                assert reason in err
            if name == "fleeting":
                # It has mostly taken over before it failed; the next one mends that.
                serving = release(server, "good", number)
                assert ctl(server, "reload", "--wait")[0] == 0
            for _ in range(4):
                assert server.get("/").body == serving, (name, err)


def test_what_another_server_does_not_wait_for_is_no_success():
    with Server("gunicorn", "lifecycle:application") as server:
        socket(server)
        assert ctl(server, "status")[0] == 1
        assert ctl(server, "workers")[0] == 0
        code, out, err = ctl(server, "reload", "--wait")
        assert (code, out) == (1, "") and "does not wait" in err
        # A reload of gunicorn makes the socket anew.
        until("it is told to end", lambda: ctl(server, "shutdown")[0] == 0)
        assert server.wait_exit() == 0


def test_progress_goes_to_standard_error_and_the_answer_to_standard_output():
    with Server(OXICORN, "lifecycle:application", "--workers", "2") as server:
        code, out, err = ctl(server, "reload", "--wait")
        assert (code, out) == (0, "reloaded: generation 2 serves\n")
        assert "is ready" in err and "Generation 2 serves with 2 workers" in err
        code, out, _ = ctl(server, "status")
        assert code == 0 and "2 of 2 ready" in out
        code, out, _ = ctl(server, "drain")
        assert code == 0 and "generation 2) has ended with exit code 0" in out
        assert ctl(server, "status")[0] == 3


def test_stacks_show_python_and_native_functions_of_stuck_threads():
    app = APP.replace("{body}", "x").replace("{length}", "1").replace(
        "    start_response", "    if environ['PATH_INFO'] == '/stuck':\n        wait_here()\n    start_response"
    )
    stuck = "import os, time\ndef wait_here():\n    while not os.path.exists('gate'): time.sleep(0.01)\n" + app
    with Server(OXICORN, "app:application", "--threads", "2", files={"app.py": stuck}, env={"PYTHONPATH": ""}) as server:
        with server.connect() as one, server.connect() as other:
            for client in (one, other):
                client.send(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
            until("both are stuck", lambda: json.loads(ctl(server, "status", "-j")[1])["requests"]["active"] == 2)
            for _ in range(3):
                threads = json.loads(ctl(server, "stacks", "-j")[1])["workers"][0]["threads"]
                assert len(threads) == 2
                for thread in threads:
                    assert "wait_here" in thread["application"] and thread["native"], threads
            (server.folder / "gate").write_text("")
            assert (one.answer().status, other.answer().status) == (200, 200)


def test_a_config_file_of_somebody_else_is_not_executed(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    tmp_path.chmod(0o755)
    (tmp_path / "gunicorn.conf.py").write_text("open('executed', 'w')\n")
    def look(*flags):
        done = subprocess.run(
            [BIN / "oxicorn", "ctl", *flags, "status"], cwd=tmp_path, env=environment_of({"HOME": str(tmp_path)}),
            capture_output=True, text=True, timeout=60, check=False,
        )
        return done.returncode, done.stderr, (tmp_path / "executed").exists()
    os.chown(tmp_path / "gunicorn.conf.py", 65534, 65534)
    code, err, was_executed = look()
    assert (code, was_executed) == (3, False) and "is not executed: it belongs to user 65534" in err
    # Unless it is named.
    assert look("--config", "gunicorn.conf.py")[2]
    (tmp_path / "executed").unlink()
    os.chown(tmp_path / "gunicorn.conf.py", 0, 0)
    assert look()[2]


def test_an_interrupt_ends_a_command_that_waits():
    slow = "import os, time\nwhile os.path.exists('closed'): time.sleep(0.01)\n" + APP.replace("{body}", "x").replace("{length}", "1")
    with Server(OXICORN, "app:application", files={"app.py": slow}, env={"PYTHONPATH": ""}) as server:
        (server.folder / "closed").write_text("")
        process = subprocess.Popen(
            [BIN / "oxicorn", "ctl", "reload", "--wait"], env=environment_of({"HOME": str(server.folder)}), stderr=subprocess.DEVNULL,
        )
        until("it has asked", lambda: "Handling control command: reload --wait" in server.error_text())
        process.send_signal(2)
        assert process.wait(30) == -2
        (server.folder / "closed").unlink()
        until("the server goes on", lambda: "Generation 2 serves" in server.error_text())
