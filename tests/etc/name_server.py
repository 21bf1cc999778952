"""A name server that knows one name: what the DNS of Docker says of the replicas of a service."""

import contextlib
import ipaddress
import socket
import struct
import threading

# RFC 1035 section 4.1.1: a response, recursion desired and available; and the same for a name that is not there.
FOUND, NO_SUCH_NAME = 0x8180, 0x8183
# Section 3.2.2 and 3.2.4: an address, in the class of the internet.
A, IN = 1, 1


class NameServer:
    """Answers with `addresses`, which may change at any time; with none, the name does not exist."""

    def __init__(self, name):
        self.name, self.addresses = name, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.socket.recvfrom(4096)
                if not query:
                    return
                self.socket.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        end = at + 5
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        known = ".".join(labels).lower() == self.name and bool(self.addresses)
        found = list(self.addresses) if known and kind == A else []
        header = query[:2] + struct.pack(">5H", FOUND if known else NO_SUCH_NAME, 1, len(found), 0, 0)
        # The name of an answer is a pointer to that of the question.
        records = [struct.pack(">3HIH", 0xC00C, A, IN, 5, 4) + ipaddress.ip_address(it).packed for it in found]
        return header + query[12:end] + b"".join(records)
