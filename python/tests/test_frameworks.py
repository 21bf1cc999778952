"""Flask, Django, Pyramid, Falcon, Bottle and httpbin in both servers: every response is compared."""

import gzip
import hashlib
import re

import pytest

from cases.observation import PAGE
from harness import Pair, Scenarios, compare

FRAMEWORKS = ["flask", "django", "pyramid", "falcon", "bottle"]
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
BLOB = bytes(range(256)) * 2000


def multipart(content):
    head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\nContent-Type: a/b\r\n\r\n'
    return head + content + b"\r\n--cut--\r\n"


# method, target, fields, body, status, and text that the body must contain
REQUESTS = [
    ("GET", "/hello/w%C3%B6rld", "", b"", 200, "hello wörld".encode()),
    ("HEAD", "/hello/head", "", b"", None, b""),
    ("POST", "/json", "Content-Type: application/json\r\nUser-Agent: agent\r\n", b'{"a": [1, 2]}', 200, b"agent"),
    ("POST", "/form", FORM, b"a=1&b=%C3%A9&c=", 200, b"a"),
    ("POST", "/upload", "Content-Type: multipart/form-data; boundary=cut\r\n", multipart(BLOB), 200, hashlib.sha256(BLOB).hexdigest().encode()),
    ("POST", "/raw", "Content-Type: application/octet-stream\r\n", BLOB, 200, hashlib.sha256(BLOB).hexdigest().encode()),
    ("GET", "/stream", "", b"", 200, b"piece 49\n"),
    ("GET", "/redirect", "", b"", None, b""),
    ("GET", "/where?q=1", "X-Forwarded-Proto: https\r\n", b"", 200, b"https://test/where?q=1"),
    ("GET", "/nowhere", "", b"", 404, b""),
    ("GET", "/error", "", b"", 500, b""),
    ("DELETE", "/hello/x", "", b"", None, b""),
]


def answers(server):
    facts = {}
    with server.connect() as client:
        for method, target, fields, body, status, has in REQUESTS:
            name = f"{method} {target}"
            answer = client.request(method, target, body, fields)
            assert status in (None, answer.status), f"{name}: {answer}"
            assert has in answer.body, f"{name}: {answer}"
            facts[f"{name}: status"] = f"{answer.status} {answer.reason}"
            facts[f"{name}: body"] = answer.body
            facts[f"{name}: fields"] = sorted(
                (key.lower(), re.sub(r"expires=[^;]+", "expires=", value)) for key, value in answer.fields
                if key not in ("Date", "Server")
            )
            if target == "/error" and PAGE.match(answer.body):
                for what in ("body", "fields"):
                    facts[f"{name}: {what}"] = "(a page of the server's)"
            if answer.field("Connection") == "close":
                client.close()
                client.__init__(server.address)
    return facts


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_framework(framework):
    with Pair(f"frameworks:{framework}()", "--threads", "2", "--worker-class", "gthread", expects=[r"raised in a view"]) as pair:
        compare(f"frameworks/{framework}", *pair.observe(answers))


HTTPBIN = [
    *(("GET", target, "", b"") for target in """
        /get?a=1&a=2 /headers /user-agent /ip /status/418 /status/204 /status/503 /redirect/2 /absolute-redirect/1 /relative-redirect/1
        /cookies /cookies/set?a=1 /cookies/delete?a /basic-auth/u/p /hidden-basic-auth/u/p /bearer /gzip /deflate /brotli
        /bytes/1000?seed=1 /stream-bytes/5000?seed=1&chunk_size=100 /stream/10 /range/1000 /drip?duration=0&numbytes=10&delay=0
        /delay/0 /html /xml /robots.txt /deny /json /base64/SGVsbG8= /encoding/utf8 /image/png /image/svg /links/5/0 /cache
        /cache/60 /etag/abc /response-headers?X-One=1&X-One=2 /forms/post /anything/a/b?c=d /uuid /redirect-to?url=/get /image/jpeg
    """.split()),
    ("GET", "/range/1000", "Range: bytes=10-19\r\n", b""),
    ("GET", "/etag/abc", "If-None-Match: abc\r\n", b""),
    ("GET", "/cache", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n", b""),
    ("GET", "/basic-auth/u/p", "Authorization: Basic dTpw\r\n", b""),
    ("GET", "/bearer", "Authorization: Bearer x\r\n", b""),
    ("GET", "/image", "Accept: image/webp\r\n", b""),
    ("HEAD", "/get", "", b""),
    ("OPTIONS", "/get", "", b""),
    *((method, f"/{method.lower()}", FORM, b"a=1&b=2") for method in ("POST", "PUT", "PATCH", "DELETE")),
    ("POST", "/anything", "Content-Type: application/json\r\n", b'{"a": 1}'),
    ("POST", "/post", "Content-Type: multipart/form-data; boundary=cut\r\n", multipart(b"content")),
    ("POST", "/status/400", "", b"x"),
    ("TRACE", "/anything", "", b""),
]


def binned(server):
    """Each call has its own connection, so that none depends on another."""
    facts = {}
    for method, target, fields, body in HTTPBIN:
        with server.connect() as client:
            answer = client.request(method, target, body, fields)
        name = f"{method} {target} {fields.split(':')[0]}".strip()
        facts[f"{name}: status"] = answer.status
        facts[f"{name}: framing"] = answer.framing
        content = answer.body
        if target == "/gzip":
            # Its header has the time (RFC 1952, section 2.3.1).
            content = gzip.decompress(content)
        facts[f"{name}: body"] = "" if target in ("/uuid", "/cache") else content
        facts[f"{name}: fields"] = sorted(
            (key, value) for key, value in answer.fields if key not in ("Date", "Server", "ETag", "Last-Modified", "Connection")
        )
    return facts


def test_httpbin():
    with Pair("httpbin:app", "--threads", "2", "--worker-class", "gthread") as pair:
        compare("frameworks/httpbin", *pair.observe(binned))


validated = Scenarios("frameworks")
VALIDATED = [
    ("POST", "/length", b"abc\ndef"), ("HEAD", "/plain", b""),
    *(("GET", f"/{path}", b"") for path in "plain closing generated written errors no-content header-repeated".split()),
]


@validated("--threads", "2", "--worker-class", "gthread", app="validated:application", expects=[r"."])
def wsgiref_validate(server):
    """wsgiref.validate between server and application."""
    facts = {}
    for method, target, body in VALIDATED:
        with server.connect() as client:
            answer = client.request(method, target, body, "Content-Type: text/plain\r\n" if body else "")
            facts[f"{method} {target}"] = (answer.status, answer.body)
            assert answer.status < 300, server.story()
    assert "AssertionError" not in server.error_text(), server.story()
    return facts


test_validated = validated.test()
