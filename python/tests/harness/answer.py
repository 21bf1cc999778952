"""A response as bytes on a connection, parsed strictly: anything that is not HTTP/1.1 is an error."""

import dataclasses
import re

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
CHUNK = re.compile(rb"[0-9A-Fa-f]+")


class Closed(Exception):
    """The connection ended where a response could have begun."""


class Broken(Exception):
    """The connection ended inside a response, or the response is not HTTP."""


@dataclasses.dataclass
class Answer:
    version: str
    status: int
    reason: str
    fields: list
    body: bytes
    # "length", "chunked", "close" or "none"
    framing: str
    # The chunks, if the body was chunked.
    chunks: list = dataclasses.field(default_factory=list)

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def field(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise Broken(f"{name} is there {len(values)} times: {self.fields}")
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("latin-1")


def head(block):
    """Status line and fields; `block` ends before the empty line."""
    first, *rest = block.split(b"\r\n")
    found = STATUS_LINE.fullmatch(first)
    if not found:
        raise Broken(f"no status line: {first!r}")
    fields = []
    for line in rest:
        pair = FIELD.fullmatch(line)
        if not pair:
            raise Broken(f"no field: {line!r}")
        fields.append((pair[1].decode("ascii"), pair[2].decode("latin-1")))
    return Answer(first[:8].decode(), int(found[1]), found[2].decode("latin-1"), fields, b"", "none")


def read(source, method):
    """One response, interim or final, from `source`, which has `line`, `exactly` and `rest`."""
    block = source.through(b"\r\n\r\n")
    answer = head(block[:-4])
    if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
        return answer
    codings, length = answer.field("Transfer-Encoding"), answer.field("Content-Length")
    if codings is not None:
        if codings.lower() != "chunked" or length is not None:
            raise Broken(f"framing: {answer.fields}")
        answer.framing = "chunked"
        answer.chunks = list(chunks(source))
        answer.body = b"".join(answer.chunks)
    elif length is not None:
        if not length.isdecimal():
            raise Broken(f"Content-Length: {length!r}")
        answer.framing = "length"
        answer.body = source.exactly(int(length))
    else:
        answer.framing = "close"
        answer.body = source.rest()
    return answer


def chunks(source):
    while True:
        size = source.through(b"\r\n")[:-2]
        if not CHUNK.fullmatch(size):
            raise Broken(f"no chunk size: {size!r}")
        if int(size, 16) == 0:
            if source.exactly(2) != b"\r\n":
                raise Broken("no end after the last chunk")
            return
        piece = source.exactly(int(size, 16))
        if source.exactly(2) != b"\r\n":
            raise Broken("no end of line after a chunk")
        yield piece
