"""Clients of a balancer that compare each answer with what they have asked, and forgive nothing."""

import contextlib
import http.client
import itertools
import threading

from instance import LONG, ClientThreads, until

# A response may take its time on a busy machine.
TIMEOUT = 90


class Load(ClientThreads):
    """Pairs of clients, one with a connection that it keeps, one with a new connection for each request. `stay`: the first ones
    stay connected, and silent, until they `leave`."""

    def __init__(self, port, methods, pairs=2, stay=False):
        self.kinds = [(method, kept) for method in methods for kept in (True, False)] * pairs
        super().__init__(len(self.kinds), 2 * TIMEOUT)
        self.port, self.stay, self.left = port, stay, threading.Event()
        self.failures, self.served = [], set()
        self.counts = [0] * len(self.kinds)

    def __exit__(self, kind, *_):
        self.done.set()
        if not self.stay or kind is not None:
            self.leave()
        if kind is None:
            assert not self.failures, f"{len(self.failures)} of {sum(self.counts)} requests have failed: {self.failures[:5]}"

    def leave(self):
        self.left.set()
        self.end()

    def go_on(self, count=50):
        """Until each client has had so many more answers."""
        wanted = [have + count for have in self.counts]

        def enough():
            assert not self.failures, self.failures[:5]
            return all(have >= want for have, want in zip(self.counts, wanted))

        until(f"{count} more answers for each client", enough, LONG)

    def until_served_by(self, instance):
        """Until one of its present workers has answered, and each client has gone on."""
        self.served.clear()
        until(f"an answer of {instance.address}", lambda: self.served & instance.workers(), LONG)
        self.go_on()

    def run(self, number):
        method, kept = self.kinds[number]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            for serial in itertools.count():
                if self.done.is_set():
                    self.left.wait()
                    return
                try:
                    self._ask(connection, method, number, serial)
                except (OSError, http.client.HTTPException, AssertionError) as error:
                    self.failures.append(f"{method} {number}-{serial}, kept {kept}: {error!r}")
                    connection.close()
                self.counts[number] += 1
                if not kept:
                    connection.close()

    def _ask(self, connection, method, number, serial):
        nonce = f"{number}-{serial}"
        if method == "POST":
            connection.request(method, "/echo", nonce)
        elif method == "GET":
            # Every other one is inside the application for so long that some are, whatever happens to the instance, and when.
            connection.request(method, f"/sleep?ms={serial % 2 * 20}&{nonce}")
        else:
            connection.request(method, f"/head?{nonce}")
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, (response.status, body[:200])
        if method == "GET":
            self.served.add(int(body))
        else:
            assert nonce in body, body[:500]
