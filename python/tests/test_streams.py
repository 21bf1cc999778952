"""`timeout` of a stream limits the wait for the next piece, not for the end, and never counts a slow client."""

import time

import pytest

from harness import OXICORN, Server, until

KINDS = pytest.mark.parametrize("kind", ["", "/written"], ids=["returned", "written"])


def streams(*flags, **options):
    return Server(OXICORN, "streams:application", *flags, **options)


@KINDS
def test_a_stream_lasts_longer_than_timeout(kind):
    with streams("--timeout", "2") as server:
        workers = server.workers()
        assert server.get(f"{kind}/events/20/0.3").text.count("event") == 20
        assert server.workers() == workers


@KINDS
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_stream_that_is_stuck_is_cut(kind, version):
    with streams("--timeout", "1", "--graceful-timeout", "1", expects=[r"."]) as server:
        workers = server.workers()
        # If the end of the connection ends the body, only a reset shows that it is incomplete.
        with server.connect() as client, pytest.raises(ConnectionResetError):
            client.send(f"GET {kind}/stuck/60 HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            while client.socket.recv(65536):
                pass
        until("a stack in the log", lambda: "streams.py" in server.error_text() and "in stuck" in server.error_text())
        assert "without another piece" in server.error_text()
        until("another worker", lambda: (found := server.workers()) and found != workers and len(found) == 1)
        assert server.get("/ready").text == "ready"


@KINDS
def test_a_slow_client_is_no_stuck_request(kind):
    with streams("--timeout", "1") as server, server.connect(60) as client:
        workers = server.workers()
        client.send(f"GET {kind}/blocks/200 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            client.unread += client.socket.recv(2048)
            time.sleep(0.02)
        assert len(client.answer().body) == 200 * 65536
        assert server.workers() == workers
