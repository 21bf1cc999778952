"""Static files in oxicorn and in a real nginx: conditional requests and ranges are compared wherever both have an opinion."""

import email.utils
import itertools
import os
import shutil
import socket
import subprocess

import pytest

from harness import OXICORN, Server, until
from harness.client import Client
from harness.processes import listening

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit; {user}
events {{ worker_connections 64; }}
http {{
    access_log off; default_type application/octet-stream;
    types {{ text/css css; text/html html; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    gzip_static on; gzip_vary on; gzip_proxied any; if_modified_since before;
    server {{ listen 127.0.0.1:{port}; location /static/ {{ alias {files}/; }} }}
}}
"""
SIZE = 20_000
# Long ago, so that no file is so young that its tag is weak.
CHANGED = 1_700_000_000


class Nginx:
    def __init__(self, folder, files):
        self.program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert self.program, "nginx is missing: scripts/install-deps test"
        self.folder, self.files, self.process = folder, files, None

    def __enter__(self):
        # Port 0 would be a different one for each reload; a free one may be taken by another test, so this tries again.
        for port in free_ports():
            config = self.folder / "nginx.conf"
            user = "user root;" if os.geteuid() == 0 else ""
            config.write_text(CONFIG.format(folder=self.folder, files=self.files, port=port, user=user))
            command = [self.program, "-p", str(self.folder), "-c", str(config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            if until("nginx", lambda: self.process.poll() is not None or listening(self.process.pid)) is not True:
                self.address = ("127.0.0.1", port)
                return self
        raise AssertionError("no port for nginx")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def connect(self):
        return Client(self.address)


def free_ports():
    for _ in range(10):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        yield port


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    files = folder / "files"
    (files / "dir").mkdir(parents=True)
    content = bytes(at * 31 % 251 for at in range(SIZE))
    for name, octets in (("n.bin", content), ("a.css", b"body {}"), ("a.css.gz", b"gzipped"), ("dir/index.html", b"<p>"), ("empty.bin", b"")):
        (files / name).write_bytes(octets)
        os.utime(files / name, (CHANGED, CHANGED))
    app = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'app']\n"
    server = Server(OXICORN, "own_app:application", "--static-map", f"/static={files}", files={"own_app.py": app})
    with server as ours, Nginx(folder, files) as theirs:
        names = ("n.bin", "a.css", "a.css.gz", "dir/", "empty.bin")
        is_strong = lambda name: ask(ours, "GET", f"/static/{name}", "").field("ETag").startswith('"')
        until("tags that are strong", lambda: all(map(is_strong, names)))
        yield ours, theirs


def ask(server, method, target, fields):
    with server.connect() as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n".encode())
        return client.answer(method)


def facts(answer):
    """What both must agree on. Error pages, tags and the boundary of parts are each server's own."""
    kind = (answer.field("Content-Type") or "").split(";")[0]
    found = {"status": answer.status}
    if answer.status in (200, 206) and kind == "multipart/byteranges":
        boundary = answer.field("Content-Type").partition("boundary=")[2].encode()
        found |= {"parts": answer.body.replace(boundary, b"--cut")}
    elif answer.status in (200, 206, 304):
        found |= {name: answer.field(name) for name in ("Content-Range", "Content-Encoding", "Last-Modified", "Content-Length")}
        found |= {"type": kind if answer.status != 304 else None, "body": answer.body}
    elif answer.status == 416:
        found |= {"range": answer.field("Content-Range")}
    return found


def date(offset):
    return email.utils.formatdate(CHANGED + offset, usegmt=True)


def same(pair, method, target, fields):
    """`TAG` in the fields is the tag of each server."""
    results = []
    for server in pair:
        tag = ask(server, "GET", target, "").field("ETag")
        results.append(facts(ask(server, method, target, fields.replace("TAG", tag or '"none"'))))
    assert results[0] == results[1], f"{method} {target} {fields!r}"
    return results[0]


RANGES = [
    "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-30000", "bytes=19999-", "bytes=20000-", "bytes=30000-40000", "bytes=10-99999", "bytes=-0",
    "bytes=0-9,1000-1009", "bytes=1000-1009,0-9", "bytes=0-9,-10", "bytes=0-9,30000-", "bytes=30000-,40000-", "bytes= 5-9", "bytes=5-9 , 500-509",
]
TAGS = ["TAG", 'W/TAG', '"other"', '"other", TAG', "*"]
DATES = [date(0), date(-1), date(1)]


@pytest.mark.parametrize("asked", RANGES)
def test_ranges(pair, asked):
    same(pair, "GET", "/static/n.bin", f"Range: {asked}\r\n")


@pytest.mark.parametrize("tag", [*TAGS, None])
@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
def test_tags_and_dates(pair, field, tag):
    """Every pair of a tag's field and a date's, as one or the other counts."""
    for other, value in itertools.product(("", "If-Modified-Since", "If-Unmodified-Since"), DATES):
        # nginx tests a date although there is a tag: RFC 9110 section 13.2.2 has it ignored.
        if other and tag is not None:
            continue
        fields = "" if tag is None else f"{field}: {tag}\r\n"
        same(pair, "GET", "/static/n.bin", fields + (f"{other}: {value}\r\n" if other else ""))


@pytest.mark.parametrize("value", ["TAG", '"other"', date(0), date(-1), date(1), "W/TAG"])
def test_a_range_on_condition(pair, value):
    same(pair, "GET", "/static/n.bin", f"Range: bytes=5-9\r\nIf-Range: {value}\r\n")


@pytest.mark.parametrize("accepted", ["gzip", "gzip;q=0", "deflate", "gzip;q=0.5, br", "identity", ""])
def test_variants(pair, accepted):
    answer = same(pair, "GET", "/static/a.css", f"Accept-Encoding: {accepted}\r\n" if accepted else "")
    assert answer["status"] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", [
    "/static/a.css", "/static/none", "/static/dir/", "/static/dir/none", "/static/a.css/", "/static/%61.css", "/static/%2561.css",
    "/static//a.css", "/static/empty.bin", "/static/a.css?query", "/static/" + "a" * 300,
])
def test_paths(pair, method, target):
    same(pair, method, target, "")


def test_where_oxicorn_goes_by_the_standard(pair):
    """The differences of docs/static-files.md."""
    def differ(method, fields):
        return tuple(ask(server, method, "/static/n.bin", fields).status for server in pair)

    assert differ("HEAD", "Range: bytes=0-0\r\n") == (200, 206)
    assert differ("GET", "Range: bytes=5-1\r\n") == (200, 416)
    assert differ("GET", "Range: bytes=x\r\n") == (200, 416)
    assert differ("GET", "If-Unmodified-Since: yesterday\r\n") == (200, 412)
    coding = [ask(server, "GET", "/static/a.css", "Accept-Encoding: *\r\n").field("Content-Encoding") for server in pair]
    assert coding == ["gzip", None]
