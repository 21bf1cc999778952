"""Health checks beside WSGI workers: the event loop answers them, without Python's lock and without the application."""

from signal import SIGHUP, SIGTERM

from harness import OXICORN, Server, lock_held, until
from harness.lock import paths


def server(*args, **more):
    return Server(OXICORN, "lock_holder:application", "--health-path", "/health", *args, **more)


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
    with server("--timeout", "3600", expects=["was killed"]) as it, lock_held(it):
        for _ in range(20):
            assert it.get("/health").status == 200
