"""Responses in pieces, returned or written (`/written/...`), with a delay before each."""

import time

BLOCK = bytes(range(256)) * 256


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/").split("/")
    written = path[0] == "written"
    kind, *arguments = path[written:]
    pieces = {"events": events, "stuck": stuck, "blocks": blocks}.get(kind, ready)(*map(float, arguments))
    write = start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if not written:
        return pieces
    for piece in pieces:
        write(piece)
    return []


def ready():
    return [b"ready"]


def events(count, seconds):
    for _ in range(int(count)):
        time.sleep(seconds)
        yield b"data: event\n\n"


def stuck(seconds):
    """Two events, and then nothing."""
    yield from events(2, 0)
    time.sleep(seconds)
    yield b"data: late\n\n"


def blocks(count):
    for _ in range(int(count)):
        yield BLOCK
