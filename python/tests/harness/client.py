"""A client on a raw socket: exact bytes out, exact bytes in."""

import socket

from . import answer
from .answer import Answer, Broken, Closed
from .deadline import TIMEOUT


class Client:
    """One connection. `address` is (host, port), or the path of a unix socket."""

    def __init__(self, address, seconds=TIMEOUT, tls=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.unread = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def finish(self):
        """Shuts down the sending side: no more requests follow."""
        self.socket.shutdown(socket.SHUT_WR)

    def get(self, target, fields="", version="1.1"):
        host = "Host: test\r\n" if version == "1.1" else ""
        self.send(f"GET {target} HTTP/{version}\r\n{host}{fields}\r\n".encode("latin-1"))
        return self.answer()

    def request(self, method, target, body=b"", fields=""):
        self.send(
            f"{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode("latin-1")
        )
        self.send(body)
        return self.answer(method)

    def answer(self, method="GET") -> Answer:
        """The next final response."""
        while True:
            found = self.any_answer(method)
            if found.status >= 200:
                return found

    def any_answer(self, method="GET") -> Answer:
        """The next response, interim ones included."""
        return answer.read(self, method)

    def through(self, mark):
        """Bytes up to and including `mark`."""
        searched = 0
        while (at := self.unread.find(mark, max(searched - len(mark), 0))) < 0:
            searched = len(self.unread)
            if not self.fill():
                raise Broken(f"closed after {bytes(self.unread)!r}") if self.unread else Closed
        return self.take(at + len(mark))

    def exactly(self, count):
        while len(self.unread) < count:
            if not self.fill():
                raise Broken(f"closed {count - len(self.unread)} bytes before the end")
        return self.take(count)

    def rest(self):
        """Everything to the end of the connection."""
        while self.fill():
            pass
        return self.take(len(self.unread))

    def take(self, count):
        taken = bytes(self.unread[:count])
        del self.unread[:count]
        return taken

    def fill(self):
        try:
            piece = self.socket.recv(256 * 1024)
        except ConnectionResetError:
            # Between two responses this is a normal end. Inside one, the caller notices that it is incomplete.
            return False
        self.unread += piece
        return bool(piece)
