"""Large bodies, slow clients and many connections: memory and threads stay within bounds. Not compared with gunicorn."""

import hashlib
import threading

import pytest

from harness import OXICORN, Load, Server, processes, until

BLOCK = bytes(range(256)) * 256
MIB = 1 << 20
LARGE = 100 * MIB


def load(*flags, **options):
    return Server(OXICORN, "load:application", *flags, **options)


def pss(server):
    return processes.pss_mib(server.tree(), "Pss_Anon")


class Peak(threading.Thread):
    """The peak memory of a server during a test."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.done = server, 0.0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def run(self):
        while not self.done.wait(0.05):
            self.peak = max(self.peak, pss(self.server))


def test_upload_of_100_mib_in_flat_memory():
    with load("--threads", "2") as server, server.connect(60) as client:
        client.request("POST", "/upload", BLOCK)
        before = pss(server)
        digest = hashlib.sha256()
        with Peak(server) as peak:
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
            for _ in range(LARGE // len(BLOCK)):
                client.send(BLOCK)
                digest.update(BLOCK)
            answer = client.answer()
        assert answer.text == f"{LARGE} {digest.hexdigest()}"
        assert peak.peak < before + 16, f"{before:.1f} MiB before, {peak.peak:.1f} at most"


def test_chunked_upload_in_flat_memory():
    with load("--threads", "2") as server, server.connect(60) as client:
        client.request("POST", "/upload", BLOCK)
        before = pss(server)
        with Peak(server) as peak:
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(LARGE // len(BLOCK)):
                client.send(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK))
            client.send(b"0\r\n\r\n")
            assert client.answer().text.split()[0] == str(LARGE)
        assert peak.peak < before + 16, f"{before:.1f} MiB before, {peak.peak:.1f} at most"


@pytest.mark.parametrize("path", ["download", "download-chunked", "file"])
def test_download_of_100_mib_in_flat_memory(path):
    """The client reads more slowly than the application writes, and nothing accumulates."""
    with load("--threads", "2") as server, server.connect(60) as client:
        client.get(f"/{path}/{MIB}")
        before = pss(server)
        with Peak(server) as peak:
            answer = client.get(f"/{path}/{LARGE}")
        assert answer.framing == ("chunked" if path == "download-chunked" else "length")
        assert len(answer.body) == LARGE and answer.body[:65536] == BLOCK and answer.body[-65536:] == BLOCK
        assert peak.peak < before + 16, f"{before:.1f} MiB before, {peak.peak:.1f} at most"


def test_a_client_that_reads_nothing_holds_no_thread_for_a_file():
    """With one thread, other clients are served while one does not read its file."""
    with load("--threads", "1") as server, server.connect() as lazy:
        lazy.send(b"GET /file/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (20 * MIB))
        for _ in range(5):
            assert server.get("/ready").text == "ready"
        assert len(lazy.answer().body) == 20 * MIB


@pytest.mark.parametrize("what", ["head", "body"])
def test_200_dribbling_clients_hold_no_thread(what):
    """Each sends a byte now and then, and none is refused. Another client is served as if it were alone."""
    request = b"POST /upload HTTP/1.1\r\nHost: a\r\nX-Field: value\r\nContent-Length: 10\r\n\r\n0123456789"
    begun = 20 if what == "head" else len(request) - 10
    with load("--workers", "1", "--threads", "2") as server:
        dribbling = [server.connect() for _ in range(200)]
        for client in dribbling:
            client.send(request[:begun])
        for at in range(begun, begun + 5):
            for client in dribbling:
                client.send(request[at:at + 1])
            # They continue after it has its answer.
            assert server.get("/ready").text == "ready"
        for client in dribbling:
            client.send(request[begun + 5:])
        for client in dribbling:
            assert client.answer().text.startswith("10 ")
            client.close()


def test_idle_connections_hold_no_thread():
    with load("--workers", "1", "--threads", "1") as server:
        idle = [server.connect() for _ in range(200)]
        for client in idle:
            assert client.get("/ready").status == 200
        assert server.get("/ready").status == 200
        for client in idle:
            assert client.get("/ready").status == 200
            client.close()


def test_threads_run_together():
    """Four threads of one worker are inside the application at once."""
    with load("--workers", "1", "--threads", "4") as server:
        clients = [server.connect() for _ in range(4)]
        for client in clients:
            client.send(b"GET /together/4 HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            assert client.answer().text == "4"
            client.close()


def test_an_extension_that_lets_go_of_the_lock_runs_beside_others():
    """While one thread runs C code without the interpreter's lock, another one of the same worker answers."""
    with load("--workers", "1", "--threads", "2") as server, server.connect() as busy:
        busy.send(b"GET /compute/3000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = 0
        busy.socket.setblocking(False)
        while True:
            assert server.get("/ready").status == 200
            answered += 1
            try:
                if busy.socket.recv(1, 2):
                    break
            except BlockingIOError:
                continue
        assert answered >= 10, answered


def test_c_extensions_under_load():
    """sqlite3, zlib and hashlib on many threads: no request is lost and no worker dies."""
    with load("--workers", "2", "--threads", "4") as server:
        workers = sorted(until("two workers", lambda: (found := server.workers()) and len(found) == 2 and found))
        with Load(server, clients=3, target="/query/7") as one, Load(server, clients=3, target="/compressed/3") as two:
            one.more(200)
            two.more(50)
        assert not one.lost and not two.lost
        assert sorted(server.workers()) == workers


def test_no_memory_is_lost_by_requests():
    """Runs requests of each kind twice; the second time needs no more memory."""
    with Server(OXICORN, "mirror:application", "--threads", "2", expects=[r"."]) as server:
        def many():
            with server.connect() as client:
                for path in ("/environ", "/plain", "/generated", "/written", "/file-exact", "/early-hints", "/echo"):
                    for _ in range(300):
                        client.request("POST", path, b"x" * 100)
        many()
        before = pss(server)
        many()
        assert pss(server) < before + 1.0, f"{before:.2f} MiB before, {pss(server):.2f} after"


def test_a_client_that_goes_away_closes_the_iterable():
    with Server(OXICORN, "mirror:application", "--threads", "1") as server:
        with server.connect() as client:
            client.send(b"GET /close-endless HTTP/1.1\r\nHost: a\r\n\r\n")
            client.exactly(1000)
        until("its close()", lambda: "close_endless" in server.get("/closed").text)
