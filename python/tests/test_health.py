"""Health checks beside WSGI workers: the event loop answers them, without Python's lock and without the application."""

from signal import SIGHUP, SIGKILL, SIGTERM

from harness import OXICORN, Server, until

# Writes down its paths. Holds the interpreter's lock for as long as it lives.
APP = """
import os, re
def application(environ, start_response):
    path = environ["PATH_INFO"]
    with open(os.path.join(os.environ["HOME"], "paths"), "a") as file:
        print(path, file=file)
    if path == "/busy":
        # Backtracks without end: the lock is not let go of inside one match.
        re.match("(a+)+$", "a" * 64 + "b")
    start_response("200 OK", [("Content-Length", "5")])
    return [b"ready"]
"""


def server(*args, **more):
    return Server(OXICORN, "own_app:application", "--health-path", "/health", *args, files={"own_app.py": APP}, **more)


def paths(it):
    return (it.folder / "paths").read_text().split()


def test_the_application_does_not_see_them_and_they_fail_while_the_server_drains():
    with server("--drain-delay", "3600", "--threads", "2") as it:
        assert it.get("/health?a=b").status == 200
        it.signal(SIGTERM)
        until("the drain", lambda: it.get("/health").status == 503)
        assert it.get("/").text == "ready"
        it.signal(SIGHUP)
        until("no reload", lambda: "HUP signal ignored" in it.error_text())
        assert it.get("/").text == "ready"
        it.signal(SIGTERM)
        it.wait_exit()
        assert "/" in paths(it) and "/health" not in paths(it)


def test_they_are_answered_while_a_request_never_lets_go_of_the_interpreter():
    with server("--timeout", "3600", expects=["was killed"]) as it:
        client = it.connect()
        client.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        until("a worker that is busy", lambda: "/busy" in paths(it))
        for _ in range(20):
            assert it.get("/health").status == 200
        it.signal(SIGKILL)
        it.process.wait()
        it.code = -SIGKILL
