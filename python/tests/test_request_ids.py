"""Request ids of WSGI applications: in the environ, in lines of the server, and in records of Python's logging."""

import re
import threading

import pytest

from harness import OXICORN, Server, until

GIVEN = "7b1f0c9e-2f5e-4c8a-9a51-2f0f4ad1a0c3"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
APP = """
import logging, threading
error, own = logging.getLogger("gunicorn.error"), logging.getLogger("shop")
def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/fails":
        raise ValueError("on purpose")
    if path == "/log":
        error.warning("front %s", query)
        own.warning("own %s", query)
        other = threading.Thread(target=error.warning, args=("back %s", query))
        other.start()
        other.join()
    fields = [("Content-Type", "text/plain")]
    if path == "/own":
        fields.append(("x-request-id", "mine"))
    start_response("200 OK", fields)
    if path == "/pieces":
        return pieces(query)
    return [environ.get("HTTP_X_REQUEST_ID", "none").encode() + b" " + environ.get("HTTP_TRACEPARENT", "none").encode()]
def pieces(query):
    yield b"one"
    error.warning("piece %s", query)
    yield b"two"
"""
CONFIG = """
logconfig_dict = {
    "formatters": {"own": {"format": "%(levelname)s <%(request_id)s %(trace_id)s %(span_id)s> %(message)s"}},
    "handlers": {"own": {"class": "logging.FileHandler", "filename": "own.log", "formatter": "own"}},
    "root": {"handlers": []},
    "loggers": {"gunicorn.access": {"level": "INFO", "propagate": False, "handlers": ["own"]}, "gunicorn.error": {"level": "INFO", "handlers": ["own"]}, "shop": {"handlers": ["own"]}},
}
"""


def server(*args, files=None, **kwargs):
    return Server(OXICORN, "own_app:application", *args, files={"own_app.py": APP, **(files or {})}, **kwargs)


def test_the_environ_has_the_id_that_is_returned():
    with server("--request-id", "on") as it:
        given = it.get("/", f"X-Request-ID: {GIVEN}\r\ntraceparent: any thing\r\n")
        assert given.text.split(" ", 1) == [GIVEN, "any thing"] and given.field("X-Request-ID") == GIVEN
        made = it.get("/", "X-Request-ID: not well-formed\r\n")
        assert re.fullmatch(r"[0-9a-f]{32} none", made.text) and made.field("X-Request-ID") == made.text.split()[0]
        assert it.get("/own").field("X-Request-ID") == "mine"
    with server("--request-id", "on", "--forwarded-allow-ips", "10.1.2.3") as it:
        forged = it.get("/", f"X-Request-ID: {GIVEN}\r\n")
        assert re.fullmatch(r"[0-9a-f]{32} none", forged.text) and forged.field("X-Request-ID") == forged.text.split()[0]


def test_unless_asked_there_is_none():
    with server() as it:
        answer = it.get("/", f"X-Request-ID: {GIVEN}\r\n")
        assert (answer.text, answer.field("X-Request-ID")) == (f"{GIVEN} none", None)
        it.get("/log?plain")
        until("its line", lambda: "[WARNING] front plain" in it.error_text())


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("touched", [False, True])
def test_lines_name_their_request(threads, touched):
    """Records that the server writes itself, and those that take the way through Python's handlers."""
    flags = ["--log-level", "debug"] if touched else []
    config = "import logging\ndef post_fork(server, worker):\n    logging.getLogger('gunicorn.error').addFilter(lambda record: True)\n"
    files = {"conf.py": config if touched else ""}
    with server("--request-id", "on", "--threads", str(threads), *flags, "-c", "conf.py", files=files, expects=["on purpose"]) as it:
        it.get("/fails", "X-Request-ID: id-1\r\n")
        it.get("/log?one", "X-Request-ID: id-2\r\n")
        it.get("/pieces?two", "X-Request-ID: id-3\r\n")
        it.get("/log?three", "X-Request-ID: id-4\r\n")
        text = until("all lines", lambda: "back three" in it.error_text() and "on purpose" in it.error_text() and it.error_text())
        for wanted in (
            "[ERROR] [id-1] Error handling request GET /fails\nTraceback", "[WARNING] [id-2] front one", "[WARNING] back one",
            "[WARNING] [id-3] piece two", "[WARNING] [id-4] front three", "[WARNING] back three",
        ):
            assert wanted in text, text


def test_records_of_any_logger_name_their_request():
    with server("--request-id", "on", "-c", "conf.py", files={"conf.py": CONFIG}) as it:
        it.get("/log?one", f"X-Request-ID: id-1\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n")
        it.get("/log?two", "X-Request-ID: id-2\r\ntraceparent: no trace\r\n")
        read = (it.folder / "own.log").read_text
        text = until("all lines", lambda: "back two" in read() and read())
        # The access lines come from another thread, in between.
        assert [line for line in text.splitlines() if line.startswith("WARNING ")] == [
            f"WARNING <id-1 {TRACE} {SPAN}> front one", f"WARNING <id-1 {TRACE} {SPAN}> own one", "WARNING <- - -> back one",
            "WARNING <id-2 - -> front two", "WARNING <id-2 - -> own two", "WARNING <- - -> back two",
        ]
        assert f'INFO <id-1 {TRACE} {SPAN}> 127.0.0.1 ' in until("its line", lambda: '"GET /log?one ' in read() and read())


def test_threads_never_mix_up_their_lines():
    with server("--request-id", "on", "--threads", "4", "--workers", "2") as it:
        def client(number):
            with it.connect() as connected:
                for round in range(50):
                    connected.get(f"/log?c{number}-{round}-end", f"X-Request-ID: c{number}-{round}-end\r\n")
        clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        text = until("all lines", lambda: it.error_text().count("back c") == 200 and it.error_text())
        front = re.findall(r"\[WARNING\] (.*)front (\S+)\n", text)
        assert len(front) == 200 and all(tag == f"[{query}] " for tag, query in front), front
        assert text.count("[WARNING] back c") == 200


def test_a_slow_request_has_its_python_stack():
    app = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        wait_for_the_gate()
    start_response("200 OK", [])
    return [b"served"]
def wait_for_the_gate():
    while not os.path.exists("gate"):
        time.sleep(0.01)
"""
    with server("--slow-request", "0.2", "--request-id", "on", "--threads", "2", files={"own_app.py": app}) as it, it.connect() as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: test\r\nX-Request-ID: slow-1\r\n\r\n")
        text = until("its stack", lambda: "in wait_for_the_gate" in it.error_text() and it.error_text())
        assert re.search(r"\[WARNING\] \[slow-1\] Slow request \(slow_request\): GET /slow after \d+\.\d{3} s; thread \d+ is at:\n  File ", text), text
        (it.folder / "gate").touch()
        assert client.answer().status == 200
        line = until("its times", lambda: re.search(r"\[slow-1\] .*GET /slow 200: queue (\S+) s, application (\S+) s, send", it.error_text()))
        assert float(line[2]) >= 0.2
