"""preload_app: one copy of the application, warnings about what must not be shared, and the death of a mold."""

import os
import re
from signal import SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGTTIN, SIGUSR1

import pytest

from harness import OXICORN, Server, processes, until

SHARED = """
import gc
import os
import re

DATA = [[str(number), {"number": number}] for number in range(200_000)]


def application(environ, start_response):
    gc.collect()
    text = open("/proc/self/smaps_rollup").read()
    body = re.search(r"Private_Dirty: +([0-9]+)", text)[1].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

FACTORY = """
import os
from lifecycle import application

def create():
    with open(os.path.join(os.environ["HOME"], "created"), "a") as file:
        print(os.getpid(), file=file)
    return application
"""

OPENS = """
import socket
import threading
from lifecycle import application

listener = socket.create_server(("127.0.0.1", 0))
database = socket.create_connection(listener.getsockname())
statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
"""

# Waits as long as a file of that name exists.
SLOW = """
import os
import time
while os.path.exists(os.path.join(os.environ["HOME"], "closed")):
    time.sleep(0.01)
from lifecycle import application
"""


def preloaded(app, *args, workers=2, **more):
    return Server(OXICORN, app, "--preload", "--workers", str(workers), *args, **more)


def molds(server):
    return [pid for pid in processes.children(server.pid) if "oxicorn: mold" in processes.title(pid)]


def settled(server, count):
    return until(f"{count} workers", lambda: len(found := server.workers()) == count and found)


def dirty_mib(*flags):
    """The private memory of a worker in MiB, after a garbage collection."""
    with Server(OXICORN, "shared:application", *flags, files={"shared.py": SHARED}) as server:
        server.get("/")
        return int(server.get("/").text) / 1024


LOADED = """
import gc
import sys
BEFORE = "email.message" in sys.modules and "ssl" in sys.modules and gc.get_freeze_count() > 10_000


def application(environ, start_response):
    start_response("200 OK", [])
    return [str(BEFORE).encode()]
"""


def test_the_standard_library_is_shared_also_without():
    # A single worker shares nothing.
    with Server(OXICORN, "app:application", "--workers", "2", files={"app.py": LOADED}) as server:
        assert server.get("/").text == "True"


def test_memory_is_shared_also_after_a_collection():
    own, shared = dirty_mib(), dirty_mib("--preload")
    assert own > 40 and shared < own / 3, (own, shared)


def test_the_factory_is_called_once():
    with preloaded("factory:create()", files={"factory.py": FACTORY}, workers=3) as server:
        settled(server, 3)
        server.signal(SIGTTIN)
        settled(server, 4)
        assert (server.folder / "created").read_text() == f"{molds(server)[0]}\n"


def test_connections_and_threads_are_warned_of():
    with preloaded("opens:application", files={"opens.py": OPENS}) as server:
        settled(server, 2)
        concerns = re.findall(r"\[WARNING\] opens:application: preloading it has (.*)", server.error_text())
        first, second, third = (re.sub(r":\d+;", ":N;", text) for text in sorted(concerns))
        advice = "all workers share it and take what is meant for each other: open it in post_fork, or when it is first needed"
        assert first == f"opened a connection to 127.0.0.1:N; {advice}"
        assert second == f"opened a socket that listens at 127.0.0.1:N; {advice}"
        assert third == "started poller; no worker has these threads, as a fork copies one alone: start them in post_fork"


def test_nothing_is_warned_of_where_nothing_is_wrong():
    with preloaded("lifecycle:application") as server:
        settled(server, 2)
        assert "[WARNING]" not in server.error_text()


LOGS = """
from gunicorn.glogging import Logger


class logger_class(Logger):
    error_fmt = "%(levelname)s through Python: %(message)s"
"""


# Loaded after the server's own thread has logged something, so that Python knows the thread.
LOADED_LATE = """
import os
import time

from lifecycle import application

while "through Python: Booting mold" not in open(os.path.join(os.environ["HOME"], "error.log")).read():
    time.sleep(0.01)
"""


def test_threads_of_the_server_are_not_warned_of():
    files = {"conf.py": LOGS, "late.py": LOADED_LATE}
    with preloaded("late:application", "-c", "{folder}/conf.py", files=files) as server:
        settled(server, 2)
        text = server.error_text()
        assert "INFO through Python: " in text and "WARNING" not in text, text


def test_a_mold_that_is_killed_is_made_again_for_the_next_worker():
    expects = ["was killed by SIGKILL, which was not sent by the master"]
    with preloaded("lifecycle:application", expects=expects) as server:
        workers, (mold,) = settled(server, 2), molds(server)
        before = server.get("/load").text
        os.kill(mold, SIGKILL)
        until("its obituary", lambda: f"Mold (pid: {mold}) was killed by SIGKILL" in server.error_text())
        assert server.workers() == workers and server.get("/load").text == before
        os.kill(workers[0], SIGKILL)
        until("another mold", lambda: molds(server) not in ([], [mold]))
        until("another worker", lambda: len(server.workers()) == 2 and workers[0] not in server.workers())
        until("the load of the other mold", lambda: server.get("/load").text != before)


def test_a_mold_that_stands_still_delays_new_workers_and_nothing_else():
    with preloaded("lifecycle:application") as server:
        settled(server, 2)
        (mold,) = molds(server)
        os.kill(mold, SIGSTOP)
        server.signal(SIGTTIN)
        until("the signal", lambda: "ttin" in server.error_text())
        for _ in range(10):
            assert server.get("/pid").status == 200
        assert len(server.workers()) == 2
        os.kill(mold, SIGCONT)
        settled(server, 3)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT], ids=["term", "int"])
def test_the_server_ends_while_the_application_is_being_preloaded(number):
    with preloaded("slow:application", files={"slow.py": SLOW, "closed": ""}, ready=False) as server:
        until("the mold", lambda: molds(server))
        server.signal(number)
        assert server.wait_exit() == 0


def test_a_terminal_interrupts_all_processes_alike():
    with preloaded("lifecycle:application") as server:
        settled(server, 2)
        os.killpg(server.pid, SIGINT)
        assert server.wait_exit() == 0


def test_a_reload_waits_for_the_new_mold():
    with preloaded("slow:application", files={"slow.py": SLOW}) as server:
        old, (mold,) = settled(server, 2), molds(server)
        (server.folder / "closed").touch()
        server.signal(SIGHUP)
        until("the new mold", lambda: len(molds(server)) == 2)
        for _ in range(10):
            assert int(server.get("/pid").text) in old
        (server.folder / "closed").unlink()
        until("new workers", lambda: len(server.workers()) == 2 and not set(old) & set(server.workers()))
        until("the end of the old mold", lambda: mold not in molds(server))


def test_a_reload_that_cannot_be_preloaded_leaves_the_old_one_serving():
    expects = ["ModuleNotFoundError", "failed to load", "before it was ready", "Reload given up", "while loading"]
    files = {"app.py": "from lifecycle import application\n"}
    with preloaded("app:application", files=files, expects=expects) as server:
        old, (mold,) = settled(server, 2), molds(server)
        (server.folder / "app.py").write_text("import nothing_of_that_name\n")
        server.signal(SIGHUP)
        until("the verdict", lambda: "Reload given up" in server.error_text())
        assert server.workers() == old and molds(server) == [mold]
        os.kill(old[0], SIGTERM)
        until("another worker of the old mold", lambda: len(server.workers()) == 2 and old[0] not in server.workers())
        assert {server.get("/ppid").text for _ in range(20)} == {str(server.pid)}


def test_nothing_outlives_the_master():
    with preloaded("lifecycle:application") as server:
        settled(server, 2)
        family = server.tree()
        os.kill(server.pid, SIGKILL)
        until("the end of all", lambda: not any(processes.alive(pid) for pid in family))
        server.code = -SIGKILL


def test_a_mold_that_is_loading_does_not_outlive_the_master():
    with preloaded("slow:application", files={"slow.py": SLOW, "closed": ""}, ready=False) as server:
        (mold,) = until("the mold", lambda: molds(server))
        os.kill(server.pid, SIGKILL)
        until("its end", lambda: not processes.alive(mold))
        server.code = -SIGKILL


def test_workers_that_come_later_write_to_the_new_log():
    with preloaded("lifecycle:application", workers=1) as server:
        settled(server, 1)
        old = server.error_log.rename(server.error_log.with_suffix(".1"))
        server.signal(SIGUSR1)
        until("the new log", server.error_log.exists)
        server.signal(SIGTTIN)
        settled(server, 2)
        until("a line of the newcomer", lambda: "Booting worker" in server.error_text())
        assert old.read_text().count("Booting worker") == 1


def test_a_pre_fork_that_raises_keeps_that_worker_from_booting():
    config = (
        "from lifecycle import application\n"
        "def pre_fork(server, worker):\n    assert worker.age != 2, 'of no use'\n"
    )
    with preloaded("lifecycle:application", "-c", "conf.py", files={"conf.py": config}, expects=["pre_fork", "AssertionError", "before it was ready", "failed to boot", "pre_fork"]) as server:
        until("the reason", lambda: "AssertionError: of no use" in server.error_text())
        settled(server, 2)
        assert server.get("/pid").status == 200


def test_with_reload_each_worker_loads_the_application():
    with preloaded("lifecycle:application", "--reload") as server:
        settled(server, 2)
        assert "preload_app has no effect with reload" in server.error_text()
        assert molds(server) == [] and server.get("/loaded-by").text == "this"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
def test_the_application_is_loaded_with_the_rights_of_the_master():
    app = (
        "import os\nLOADED_BY = os.geteuid()\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [b'%d %d' % (LOADED_BY, os.geteuid())]\n"
    )
    with preloaded("app:application", "--user", "65534", "--group", "65534", files={"app.py": app}) as server:
        assert server.get("/").text == "0 65534"
