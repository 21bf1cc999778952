"""Rate limits of WSGI applications: one count for all workers, and nothing of a refused request reaches Python.

Rules here are per hour, and few per hour, so that nothing becomes free while a test runs.
"""

import os
import subprocess
import threading
from signal import SIGCONT, SIGHUP, SIGKILL, SIGSTOP

import pytest

from harness import OXICORN, Load, Server, until
from harness.answer import Broken, Closed

# Writes down each call. Answers in each way in which a response can begin.
APP = """
import os

CALLS = os.open(os.path.join(os.environ["HOME"], "calls"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    os.write(CALLS, f"{environ['REQUEST_METHOD']} {path}\\n".encode())
    body = environ["wsgi.input"].read() or b"hello"
    if path == "/api/moved":
        start_response("302 Found", [("Location", "/"), ("Content-Length", "0")])
        return [b""]
    write = start_response("200 OK", [("Content-Length", str(len(body)))])
    if path == "/api/write":
        write(body)
        return []
    if path == "/api/stream":
        return iter([body[:1], body[1:]])
    return [body]
"""


def server(rules, *args, **more):
    files = {"own_app.py": APP, "limits.conf": rules, **more.pop("files", {})}
    return Server(OXICORN, "own_app:application", "--rate-limits", "limits.conf", *args, files=files, **more)


def calls(it, start):
    text = (it.folder / "calls").read_text()
    return [line for line in text.splitlines() if line.startswith(start)]


def statuses(it, count, target="/api", fields=""):
    return [it.get(target, fields).status for _ in range(count)]


@pytest.mark.parametrize("flags", [[], ["--preload"]])
def test_the_application_sees_what_passes_and_every_response_tells_the_limit(flags):
    with server("api 4/h burst=5 path=/api\n", "--workers", "3", "--threads", "2", *flags) as it:
        for left, path in [(4, "/api"), (3, "/api/write"), (2, "/api/stream")]:
            answer = it.get(path)
            assert (answer.status, answer.text) == (200, "hello")
            assert answer.field("RateLimit-Policy") == '"api";q=5;w=4500'
            assert answer.field("RateLimit") == f'"api";r={left};t={left * 900}'
        moved = it.get("/api/moved")
        assert (moved.status, moved.field("RateLimit")) == (302, None)
        with it.connect() as client:
            assert client.request("POST", "/api", b"x" * 100_000).status == 200
        for _ in range(3):
            # The body may come after the refusal: then the connection ends.
            with it.connect() as client:
                refused = client.request("POST", "/api", b"x")
            assert refused.status == 429 and int(refused.field("Retry-After")) > 0
            assert refused.field("RateLimit") == f'"api";r=0;t={refused.field("Retry-After")}'
        with it.connect() as client:
            assert client.get("/api").status == 429
            assert client.get("/").field("RateLimit") is None
        assert len(calls(it, "GET /api")) + len(calls(it, "POST /api")) == 5
        assert statuses(it, 4, "/%61pi") == [429] * 4


def test_killed_workers_give_nobody_more_under_load():
    burst = 300
    passed, lost, others, end = [], [], [], threading.Event()

    def count(status):
        if status != 429:
            (passed if status == 200 else others).append(status)
        return status

    def client(it):
        while not end.is_set():
            try:
                with it.connect() as connection:
                    while not end.is_set():
                        count(connection.get("/api").status)
            except (OSError, Closed, Broken):
                lost.append(1)

    with server(f"api 1/h burst={burst} path=/api\n", "--workers", "3", expects=["was killed by SIGKILL"]) as it:
        threads = [threading.Thread(target=client, args=(it,), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        with Load(it, target="/") as load:
            for share in (1, 2, 3):
                until("requests pass", lambda share=share: len(passed) > share * 30)
                victim = it.workers()[0]
                os.kill(victim, SIGKILL)
                until("its replacement", lambda victim=victim: victim not in it.workers() and len(it.workers()) == 3)
            until("the burst is used up", lambda: count(it.get("/api").status) == 429)
            # Those who are not limited are served beside all that are refused.
            load.more(100)
        end.set()
        for thread in threads:
            thread.join(30)
        assert len(calls(it, "GET /api")) <= burst
        assert not others, others
        # What a killed worker has let pass, its client has lost.
        assert len(passed) <= burst <= len(passed) + len(lost)


def test_a_config_file_sets_it_and_a_wrong_file_changes_nothing():
    files = {"gunicorn.conf.py": 'rate_limits = "limits.conf"\nworkers = 2\n', "own_app.py": APP, "limits.conf": "api 1/h burst=3 path=/api\n"}
    with Server(OXICORN, "own_app:application", "--config", "gunicorn.conf.py", files=files, expects=["limits.conf:1"]) as it:
        assert statuses(it, 5) == [200, 200, 200, 429, 429]
        (it.folder / "limits.conf").write_text("api 100/fortnight\n")
        it.signal(SIGHUP)
        until("the reason", lambda: 'limits.conf:1: "100/fortnight" is no rate' in it.error_text())
        assert it.get("/api").status == 429
        (it.folder / "limits.conf").write_text("other 1/h path=/other\napi 1/h burst=3 path=/api\n")
        it.signal(SIGHUP)
        until("the next generation", lambda: "Generation 2 serves" in it.error_text())
        # Old and new workers count alike.
        assert it.get("/api").status == 429


class Redis:
    """A redis-server on a socket in the folder of a server."""

    def __init__(self, folder):
        self.folder = folder
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", ""], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        until("redis-server", lambda: self.ask("PING") == "PONG")

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-s", "redis.sock", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


def test_two_servers_count_together_and_each_alone_while_redis_is_away(tmp_path):
    redis = Redis(tmp_path)
    # More than a load can send meanwhile.
    rules = "api 4/h burst=6 path=/api\nmany 100000/h burst=1000000 path=/many\n"
    flags = ["--workers", "2", "--threads", "2", "--rate-limit-redis", f"unix://{tmp_path}/redis.sock", "--rate-limit-redis-timeout", "5"]
    try:
        with server(rules, *flags) as one, server(rules, *flags) as two:
            assert one.get("/api").field("RateLimit") == '"api";r=5;t=4500'
            assert two.get("/api").field("RateLimit") == '"api";r=4;t=3600'
            assert statuses(one, 3) + statuses(two, 4) == [200] * 4 + [429] * 3
            assert one.get("/api").status == 429
            assert len(calls(one, "GET /api")) + len(calls(two, "GET /api")) == 6
            outages = [
                (redis.kill, redis.start),
                (lambda: os.kill(redis.process.pid, SIGSTOP), lambda: os.kill(redis.process.pid, SIGCONT)),
            ]
            for count, (begin, end) in enumerate(outages, 1):
                with Load(one, target="/many") as load:
                    begin()
                    until("the log says so", lambda count=count: one.error_text().count("cannot count in Redis") >= count)
                    load.more(50)
                assert not load.lost, load.lost
                end()
                until("the log says so", lambda count=count: one.error_text().count("All servers count together") == count)
                assert one.error_text().count("cannot count in Redis") == count
    finally:
        redis.kill()
