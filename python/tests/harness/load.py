"""Clients that send requests without pause and count the lost ones."""

import collections
import threading
import time

from .answer import Broken, Closed
from .deadline import until_after


class Load:
    """`clients` threads, each on its own connection; use it as a context manager.

    fresh: a new connection per request. Otherwise connections are kept as long as the server keeps them. A connection that
    ends between two requests is no loss: either the server announced it, or the client may retry (RFC 9112 section 9.3.1),
    which is counted in `again`.
    """

    def __init__(self, server, clients=4, target="/pid", fresh=False):
        self.server, self.target, self.fresh = server, target, fresh
        self.texts, self.lost, self.again = collections.Counter(), [], 0
        self.lock, self.done = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.more(1)
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.done.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"

    @property
    def served(self):
        return sum(self.texts.values())

    def more(self, count):
        """Waits for `count` more answers."""
        goal = self.served + count
        until_after(f"{count} more answers", lambda: goal if self.lost else self.served, goal)

    def _run(self):
        client = None
        while not self.done.is_set():
            reused = client is not None
            try:
                client = client or self.server.connect()
                answer = client.get(self.target, "Connection: close\r\n" if self.fresh else "")
                with self.lock:
                    if answer.status == 200:
                        self.texts[answer.text] += 1
                    else:
                        self.lost.append(f"{answer.status} {answer.text!r}")
                if self.fresh or answer.field("Connection") == "close":
                    client = self._drop(client)
            except (OSError, Closed, Broken) as error:
                client = self._drop(client)
                with self.lock:
                    if reused and isinstance(error, (Closed, ConnectionError)):
                        self.again += 1
                    elif not self.done.is_set():
                        self.lost.append(f"{time.monotonic():.3f} {error!r}")
        self._drop(client)

    @staticmethod
    def _drop(client):
        if client is not None:
            client.close()
