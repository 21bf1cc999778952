"""A case: bytes for a connection, and how to read what comes back."""

import dataclasses


@dataclasses.dataclass
class Case:
    name: str
    # Bytes, or several pieces: the next is sent when an interim answer has come for the one before.
    sends: list
    # The methods of the requests, for whoever reads the answers.
    methods: list
    # The status that the last answer must have on both servers, so that no case compares two accidents.
    status: object = None
    # Whether what is in the logs is compared too.
    logs: bool = False
    # Only that an answer comes and the connection lives or ends: bodies of refusals are each server's own.
    bodies: bool = True
    # At one server at least the answer never ends.
    hangs: bool = False
    # Ends the sending side after the last byte.
    finish: bool = False


def fields_of(fields):
    return "".join(f"{line}\r\n" for line in ([fields] if isinstance(fields, str) else fields))


def encoded(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def get(name, target, *fields, version="1.1", method="GET", host="Host: test", **options):
    """A request without body; `fields` are whole lines."""
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
