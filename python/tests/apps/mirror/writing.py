"""The write that start_response returns."""

from .fields import TEXT, exact


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    write(b"twice ")
    return [b"and returned"]


def written_exact(environ, start_response):
    write = start_response("200 OK", exact(b"writtenreturned"))
    write(b"written")
    return [b"returned"]


def written_text(environ, start_response):
    write = start_response("200 OK", TEXT)
    write("text")
    return []


def written_then_fails(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"written")
    raise ValueError("after write")
