"""refork_after: a worker that has served for a while becomes the mold of the next ones."""

import os
import pathlib
import re
import tempfile
from signal import SIGHUP, SIGKILL, SIGTERM, SIGTTIN, SIGUSR1

import pytest

from harness import OXICORN, Load, Server, processes, until
from harness.deadline import until_after

# Imports a module of its own and fills a cache with the first request, as frameworks do.
WARMS = """
import os
import threading

CACHE = {}
LOCK = threading.Lock()


def fill(environ):
    CACHE.update((number, [str(number)] * 3) for number in range(100_000))
    CACHE["by"] = os.getpid()


def application(environ, start_response):
    with LOCK:
        if not CACHE:
            fill(environ)
    body = f"{CACHE['by']} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# The thread that a library has started with the first request.
THREADED = WARMS.replace(
    "def fill(environ):", "def fill(environ):\n    threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()"
)

# A connection that a pool keeps.
CONNECTED = WARMS.replace(
    "def fill(environ):",
    "def fill(environ):\n    import socket\n    global POOL\n    POOL = socket.create_connection(('127.0.0.1', int(environ['SERVER_PORT'])))",
)

CLOSES = """
def worker_exit(server, worker):
    import warms
    pool = vars(warms).get("POOL")
    if pool:
        pool.close()
"""


# A worker has to serve 200 requests before it becomes the mold, and then others have to boot: so many steps, in seconds.
LONG = 120


def reforking(*flags, app=WARMS, workers=3, **more):
    files = {"warms.py": app, **more.pop("files", {})}
    flags = ["--workers", str(workers), "--refork-after", "200", *flags]
    return Server(OXICORN, "warms:application", *flags, files=files, **more)


def mold(server, number=1):
    """The worker that the log calls the mold, the `number`th time."""
    pattern = r"Worker \(pid: (\d+)\) is the mold of the next workers"
    found = until(f"mold {number}", lambda: (found := re.findall(pattern, server.error_text())) and len(found) >= number and found, LONG)
    return int(found[number - 1])


def forks(server, mold, count):
    """The workers, when all of them have booted after the mold became that."""
    def found():
        _, _, after = server.error_text().partition(f"Worker (pid: {mold}) is the mold")
        booted = {int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", after)}
        workers = [pid for pid in server.workers() if pid != mold]
        return len(workers) == count and booted.issuperset(workers) and workers
    return until("new workers", found, LONG)


def starts(server, count):
    return until(f"{count} workers", lambda: len(found := server.workers()) == count and found)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_warm_worker_becomes_the_mold_of_all_others(threads):
    with reforking("--threads", threads) as server:
        old = starts(server, 3)
        with Load(server, target="/") as load:
            pid = mold(server)
            forks(server, pid, 3)
            load.more(300)
        assert not load.lost and not load.again, (load.lost, load.again)
        assert pid in old and processes.alive(pid)
        until("its title", lambda: "oxicorn: mold" in processes.title(pid))
        for _ in range(20):
            by, worker = server.get("/").text.split()
            assert int(by) == pid and int(worker) in server.workers(), "it has the cache of the mold"


def test_the_mold_of_preload_app_is_replaced():
    with reforking("--preload", workers=2) as server:
        starts(server, 2)
        (cold,) = (pid for pid in processes.children(server.pid) if "oxicorn: mold" in processes.title(pid))
        with Load(server, target="/") as load:
            pid = mold(server)
            forks(server, pid, 2)
            load.more(100)
        assert not load.lost, load.lost
        until("the end of the cold one", lambda: not processes.alive(cold))
        assert server.get("/").text.split()[0] == str(pid)


def test_max_requests_works_beside_it():
    with reforking("--max-requests", "300", "--max-requests-jitter", "30", workers=2) as server:
        with Load(server, target="/") as load:
            pid = mold(server)
            until_after("workers are replaced", lambda: server.error_text().count(": max_requests"), 4)
            load.more(100)
        assert not load.lost, load.lost
        assert server.get("/").text.split()[0] == str(pid)


def test_a_mold_that_is_killed_is_followed_by_another():
    with reforking(workers=2, expects=["was killed by SIGKILL"]) as server:
        starts(server, 2)
        with Load(server, target="/") as load:
            first = mold(server)
            workers = forks(server, first, 2)
            os.kill(first, SIGKILL)
            second = mold(server, 2)
            forks(server, second, 2)
            load.more(100)
        assert not load.lost, load.lost
        assert second in workers and server.get("/").text.split()[0] == str(first), "its cache is that of the first"


def test_a_reload_brings_fresh_code_and_a_new_mold():
    with reforking(workers=2) as server:
        starts(server, 2)
        with Load(server, target="/") as load:
            first = mold(server)
            workers = forks(server, first, 2)
            load.more(10)
        (server.folder / "warms.py").write_text(WARMS.replace('CACHE["by"] = os.getpid()', 'CACHE["by"] = "fresh"'))
        server.signal(SIGHUP)
        until("new workers", lambda: len(server.workers()) == 2 and not set(workers) & set(server.workers()))
        until("the end of the old mold", lambda: not processes.alive(first))
        assert server.get("/").text.split()[0] == "fresh"
        with Load(server, target="/") as load:
            forks(server, mold(server, 2), 2)
        assert not load.lost, load.lost
        assert server.get("/").text.split()[0] == "fresh"


@pytest.mark.parametrize(
    ("app", "reason"),
    [(THREADED, r"the application has started poller, and no fork would have these threads"),
     (CONNECTED, r"it has open connections that workers cannot share \(to 127.0.0.1:\d+\)")],
    ids=["thread", "connection"],
)
def test_it_is_refused_with_a_reason(app, reason):
    with reforking(app=app, workers=2) as server:
        with Load(server, target="/") as load:
            until("the refusal", lambda: "cannot become the mold of the next workers" in server.error_text(), LONG)
            load.more(1000)
        assert not load.lost, load.lost
        text = server.error_text()
        assert re.search(rf"\[WARNING\] Worker \(pid: \d+\) cannot become the mold of the next workers \(refork_after\): {reason}", text), text
        assert text.count("Replacing Worker") == 1, "it is not tried again"


def test_worker_exit_may_close_what_would_forbid_it():
    with reforking("-c", "conf.py", app=CONNECTED, workers=2, files={"conf.py": CLOSES}) as server:
        with Load(server, target="/") as load:
            mold(server)
            load.more(100)
        assert not load.lost, load.lost


def test_forks_that_come_later_write_to_the_new_log():
    with reforking(workers=1) as server:
        with Load(server, target="/"):
            forks(server, mold(server), 1)
        old = server.error_log.rename(server.error_log.with_suffix(".1"))
        count = old.read_text().count("Booting worker")
        server.signal(SIGUSR1)
        until("the new log", server.error_log.exists)
        server.signal(SIGTTIN)
        until("a line of the newcomer", lambda: "Booting worker" in server.error_text())
        assert old.read_text().count("Booting worker") == count
        starts(server, 2)


def test_nothing_outlives_the_server():
    for number in (SIGTERM, SIGKILL):
        server = reforking(workers=2)
        starts(server, 2)
        with Load(server, target="/"):
            pid = mold(server)
            forks(server, pid, 2)
        family = server.tree()
        assert pid in family
        if number == SIGTERM:
            server.stop()
            continue
        os.kill(server.pid, SIGKILL)
        until("the end of all", lambda: not any(processes.alive(member) for member in family))
        server.code = -SIGKILL
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
def test_it_works_for_workers_with_a_user_of_their_own():
    # The folder of the server is root's alone.
    with tempfile.TemporaryDirectory() as folder:
        module = pathlib.Path(folder, "warms.py")
        module.write_text(WARMS)
        # Whatever the umask is.
        module.chmod(0o644)
        os.chmod(folder, 0o755)
        check_other_user(folder)


def check_other_user(folder):
    with reforking("--pythonpath", folder, "--user", "65534", "--group", "65534", workers=2) as server:
        starts(server, 2)
        with Load(server, target="/") as load:
            pid = mold(server)
            forks(server, pid, 2)
            load.more(50)
        assert not load.lost, load.lost
        assert server.get("/").text.split()[0] == str(pid)
