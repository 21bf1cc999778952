"""Logs as JSON from WSGI applications: written by the server, or on the way through Python's logging. Every line is an object."""

import json
import random
import re

import pytest

from harness import OXICORN, Server, until

APP = """
import logging, math, threading, traceback
error, own = logging.getLogger("gunicorn.error"), logging.getLogger("shop")
class NoText:
    def __str__(self):
        raise ValueError("no text")
def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/fails":
        raise LookupError("on purpose \\udc80 \\x1b[31m\\nof two lines")
    if path == "/record":
        error.warning('of "two"\\nlines %s', query, extra={"nan": math.nan, "inf": -math.inf, "deep": {"a": [1, None, True, 1.5]}, "none": NoText(),
            "big": 10**5000, "severity": "mine"})
        error.warning("a number: %d", "none")
    if path == "/exception":
        try:
            {}["key"]
        except KeyError:
            error.exception("caught")
    if path == "/formatted":
        try:
            {}["key"]
        except KeyError:
            error.error("formatted\\n" + traceback.format_exc())
    if path == "/surrogate":
        error.warning("lone \\udc80 surrogate")
    if path == "/own":
        own.warning("of the shop")
    if path == "/errors":
        environ["wsgi.errors"].write("first of stream\\nsecond of stream\\n")
    environ["shop.user"] = 'me "and" you'
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Out", "out")])
    return [b"served"]
"""
TOUCH = """
import logging
def post_fork(server, worker):
    logging.getLogger("gunicorn.error").addFilter(lambda record: True)
    logging.getLogger("gunicorn.access").addFilter(lambda record: True)
"""
LOGCONFIG = """
logconfig_dict = {"handlers": {
    "console": {"class": "logging.FileHandler", "filename": "access.log", "formatter": "generic"},
    "error_console": {"class": "logging.FileHandler", "filename": "error.log", "formatter": "generic"},
}, "root": {"level": "INFO", "handlers": ["error_console"]}, "loggers": {
    "gunicorn.error": {"level": "INFO", "propagate": False, "handlers": ["error_console"]},
    "gunicorn.access": {"level": "INFO", "propagate": False, "handlers": ["console"]},
}}
"""
CLASS = """
from gunicorn.glogging import Logger
class Own(Logger):
    def access(self, resp, req, environ, request_time):
        super().access(resp, req, environ, request_time)
"""
FLAGS = ("--access-log-json", "--error-log-json", "--request-id", "on", "-c", "conf.py")
WAYS = {"untouched": ("",), "touched": (TOUCH,), "logconfig": (LOGCONFIG,), "class": ("", "--logger-class", "own_logger.Own")}


def server(way="untouched", *args, **kwargs):
    config, *flags = WAYS[way]
    files = {"own_app.py": APP, "conf.py": config, "own_logger.py": CLASS}
    return Server(OXICORN, "own_app:application", *FLAGS, *flags, *args, files=files, **kwargs)


def objects(text):
    def strict(constant):
        raise AssertionError(f"{constant} is no JSON")
    def parse(line):
        found = json.loads(line, parse_constant=strict)
        assert isinstance(found, dict) and not re.search(r"[\x00-\x1f\x7f-\x9f]", line), line
        # A lone surrogate is an escape that no strict reader takes.
        json.dumps(found, ensure_ascii=False).encode()
        return found
    return [parse(line) for line in text.splitlines()]


def line_with(read, key, value):
    return until(f"a line with {key} {value}", lambda: next((it for it in objects(read()) if it.get(key) == value), None))


@pytest.mark.parametrize("way", WAYS)
def test_records_and_requests_are_objects(way):
    with server(way) as it:
        for number, path in enumerate(("record", "exception", "formatted", "surrogate", "own", "errors")):
            it.get(f"/{path}?q=%22&x", f"X-Request-ID: id-{number}\r\nUser-Agent: agent \"1\" \xff\r\nReferer: http://here/\r\n")
        assert it.get("/fails", "X-Request-ID: failed\r\n").status == 500
        errors, access = it.error_text, it.access_log.read_text

        record = line_with(errors, "message", 'of "two"\nlines q=%22&x')
        assert (record["severity"], record["request_id"], record["oxicorn.worker.age"]) == ("WARNING", "id-0", 1)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["timestamp"])
        assert (record["nan"], record["inf"], record["deep"]) == ("nan", "-inf", {"a": [1, None, True, 1.5]}), record
        assert "without text" in record["none"] and isinstance(record["big"], str)
        line_with(errors, "message", "a number: %d (TypeError with its arguments)")
        caught, formatted = line_with(errors, "message", "caught"), line_with(errors, "message", "formatted")
        for raised in (caught, formatted):
            assert (raised["exception.type"], raised["exception.message"]) == ("KeyError", "'key'")
            assert raised["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
        line_with(errors, "message", "lone \\udc80 surrogate")
        stream = line_with(errors, "logger", "wsgi.errors")
        assert (stream["message"], stream["request_id"]) == ("first of stream\nsecond of stream", "id-5")
        failed = line_with(errors, "message", "Error handling request GET /fails")
        assert (failed["exception.type"], failed["request_id"]) == ("LookupError", "failed")
        assert failed["exception.message"] == "on purpose \\udc80 \x1b[31m\nof two lines"
        if way == "logconfig":
            assert line_with(errors, "message", "of the shop")["logger"] == "shop"

        seen = line_with(access, "url.path", "/record")
        assert (seen["url.query"], seen["http.response.status_code"], seen["request_id"]) == ("q=%22&x", 200, "id-0")
        assert (seen["user_agent.original"], seen["http.request.header.referer"]) == ('agent "1" \xff', ["http://here/"])
        assert seen["http.response.body.size"] == 6 and seen["http.server.request.duration"] >= seen["oxicorn.application.duration"]
        assert line_with(access, "url.path", "/fails")["http.response.status_code"] == 500
        objects(errors())


@pytest.mark.parametrize("way", WAYS)
def test_a_format_of_ones_own_chooses_the_members(way):
    form = '{"path": "%(U)s", "status": %(s)s, "user": "%({shop.user}e)s", "id": %({request_id}x)s, "waited": %({queue}x)s}'
    if way == "class":
        # A class makes its atoms from the environ.
        form = form.replace("%({request_id}x)s", '"%({http_x_request_id}e)s"').replace("%({queue}x)s", "%(L)s")
    with server(way, "--access-logformat", form) as it:
        it.get("/shop", "X-Request-ID: id-1\r\n")
        seen = line_with(it.access_log.read_text, "path", "/shop")
        assert (seen["status"], seen["user"], seen["id"]) == (200, 'me "and" you', "id-1") and isinstance(float(seen["waited"]), float)


@pytest.mark.parametrize("way", WAYS)
def test_whatever_clients_send_each_line_is_an_object(way):
    dice = random.Random(way)
    nasty = '"\\%{}\t\xff\x80\x9b\u00a0a1'
    with server(way, "--workers", "2", "--threads", "2") as it:
        with it.connect() as client:
            for number in range(300):
                value = "".join(dice.choices(nasty, k=dice.randrange(40)))
                path = "".join(f"%{ord(letter):02x}" for letter in dice.choices(nasty, k=dice.randrange(20)))
                fields = f"X-Request-ID: id-{number}\r\nUser-Agent: {value}\r\nReferer: {value}\r\nAuthorization: Basic {value}\r\n"
                assert client.get(f"/{path}?{path}", fields).status == 200
        wanted = {f"id-{number}" for number in range(300)}
        until("all lines", lambda: wanted <= {line.get("request_id") for line in objects(it.access_log.read_text())})
        objects(it.error_text())
