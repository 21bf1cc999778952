"""A case: bytes for a connection, and how to read what comes back."""

import dataclasses


@dataclasses.dataclass
class Case:
    name: str
    # Bytes, or several pieces: each is sent after an interim response to the one before.
    sends: list
    # The methods of the requests, which the reader of the responses needs.
    methods: list
    # The status of the last response on both servers, so that no case compares two errors.
    status: object = None
    # Whether the logs are compared too.
    logs: bool = False
    # Compares only the status and the end of the connection, not the page of a refusal.
    bodies: bool = True
    # The response of at least one server never ends.
    hangs: bool = False
    # Shuts down the sending side after the last byte.
    finish: bool = False


def fields_of(fields):
    return "".join(f"{line}\r\n" for line in ([fields] if isinstance(fields, str) else fields))


def encoded(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def get(name, target, *fields, version="1.1", method="GET", host="Host: test", **options):
    """A request without a body; `fields` are whole lines."""
    lines = ([host] if host and version != "1.0" else []) + list(fields)
    text = f"{method} {target} HTTP/{version}\r\n{fields_of(lines)}\r\n"
    return Case(name, [encoded(text)], [method], **options)


def head(name, target, *fields, **options):
    return get(name, target, *fields, method="HEAD", **options)


def post(name, target, body, *fields, chunked=False, method="POST", version="1.1", **options):
    """A request with a body; chunked, `body` is a list of pieces."""
    if chunked:
        framing = "Transfer-Encoding: chunked"
        content = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
    else:
        framing, content = f"Content-Length: {len(body)}", body
    text = f"{method} {target} HTTP/{version}\r\n{fields_of(['Host: test', framing, *fields])}\r\n"
    return Case(name, [encoded(text) + content], [method], **options)


def raw(name, *sends, methods=("GET",), **options):
    """Exact bytes; text is Latin-1."""
    return Case(name, [encoded(piece) for piece in sends], list(methods), **options)
