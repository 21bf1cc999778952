"""Applications that are slow, or read and send large bodies."""

import hashlib
import sqlite3
import threading
import time
import zlib

BLOCK = bytes(range(256)) * 256
OPEN = [0]
MOST = [0]
LOCK = threading.Lock()
DATABASE = sqlite3.connect(":memory:", check_same_thread=False)


def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"].lstrip("/").partition("/")
    body = {
        "upload": upload, "download": download, "download-chunked": download, "file": file, "compute": compute,
        "together": together, "slow": slow, "compressed": compressed, "query": query,
    }.get(path, ready)(environ, argument)
    headers = [("Content-Type", "application/octet-stream")]
    if isinstance(body, bytes):
        headers.append(("Content-Length", str(len(body))))
        body = [body]
    elif path != "download-chunked":
        headers.append(("Content-Length", str(int(argument))))
    start_response("200 OK", headers)
    return body


def ready(environ, argument):
    return b"ready"


def upload(environ, argument):
    """Length and digest of the body, read in pieces."""
    digest, total = hashlib.sha256(), 0
    while True:
        piece = environ["wsgi.input"].read(65536)
        if not piece:
            return b"%d %s" % (total, digest.hexdigest().encode())
        digest.update(piece)
        total += len(piece)


def download(environ, argument):
    return blocks(int(argument))


def blocks(left):
    while left:
        piece = BLOCK[:left]
        left -= len(piece)
        yield piece


def file(environ, argument):
    import tempfile

    stream = tempfile.TemporaryFile()
    for piece in blocks(int(argument)):
        stream.write(piece)
    stream.seek(0)
    return environ["wsgi.file_wrapper"](stream)


def compute(environ, argument):
    """Digests in C, which releases the interpreter's lock, so that threads of one worker run in parallel."""
    started = time.monotonic()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", int(argument))
    return b"%f" % (time.monotonic() - started)


def together(environ, argument):
    """The most requests that are here at the same time and wait for each other."""
    with LOCK:
        OPEN[0] += 1
        MOST[0] = max(MOST[0], OPEN[0])
    deadline = time.monotonic() + 5
    while MOST[0] < int(argument) and time.monotonic() < deadline:
        time.sleep(0.002)
    with LOCK:
        OPEN[0] -= 1
    return b"%d" % MOST[0]


def slow(environ, argument):
    time.sleep(float(argument))
    return b"slow"


def compressed(environ, argument):
    return zlib.compress(BLOCK * int(argument))


def query(environ, argument):
    with LOCK:
        return str(DATABASE.execute("select sqlite_version(), ?", (argument,)).fetchone()[1]).encode()
