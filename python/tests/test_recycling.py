"""Workers of a Python application that are replaced because they are large or old."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
from signal import SIGHUP, SIGKILL

from harness import OXICORN, Load, Server, processes, until
from harness.deadline import until_after
from harness.server import environment_of, program

# Keeps what each request asks for, and half a hundred MiB from the start.
GROWS = """
import os
from urllib.parse import parse_qs

KEPT = [os.urandom(1 << 20) for _ in range(50)]


def application(environ, start_response):
    mib = int(parse_qs(environ["QUERY_STRING"]).get("mib", ["0"])[0])
    KEPT.extend(bytes([len(KEPT) % 256]) * (1 << 20) for _ in range(mib))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

# Leaks with every request.
LEAKS = GROWS.replace("int(parse_qs", "1 + int(parse_qs")


def grown(*flags, app=GROWS, **more):
    return Server(OXICORN, "grows:application", "--workers", "3", *flags, files={"grows.py": app}, **more)


def replaced(server):
    return re.findall(r"Replacing Worker \(pid: (\d+)\): (.*)", server.error_text())


def test_a_worker_that_grows_is_replaced_under_load():
    with grown("--threads", "2", "--max-worker-memory", "150M") as server:
        until("three workers", lambda: len(server.workers()) == 3)
        with Load(server, target="/") as load:
            pid = server.get("/?mib=200").text
            until("it is replaced", lambda: replaced(server))
            (found, reason), = replaced(server)
            assert found == pid
            assert re.fullmatch(r"it uses [0-9.]+ MiB of memory, more than max_worker_memory \(150.0 MiB\)", reason), reason
            until("its end", lambda: not processes.alive(int(pid)))
            load.more(200)
        assert not load.lost, load.lost
        assert len(server.workers()) == 3


def test_what_workers_share_counts_in_parts():
    # Each has 50 MiB of its own at the start without the mold, and a quarter of that with it.
    with grown("--preload", "--max-worker-memory", "50M") as server:
        until("three workers", lambda: len(server.workers()) == 3)
        resident = [processes.pss_mib([pid], "Rss") for pid in server.workers()]
        assert min(resident) > 55, resident
        # The others are measured as often as this one.
        pid = server.get("/?mib=100").text
        until("it is replaced", lambda: replaced(server))
        assert [found for found, _ in replaced(server)] == [pid]


def test_a_leak_that_comes_faster_than_replacements_costs_no_request():
    with grown("--max-worker-memory", "90M", app=LEAKS) as server:
        with Load(server, target="/") as load:
            until("one is replaced", lambda: replaced(server))
            load.more(50)
            # One that serves, and may have ended since.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(server.get("/").text), SIGKILL)
            load.more(50)
        # The killed worker has lost the requests that it ran, and nothing else is lost.
        assert len(load.lost) <= 4, load.lost
        assert server.error_text().count("if fresh workers need that much, raise the limit") == 1
        server.expects.append("was killed by SIGKILL")


def test_all_together():
    with grown("--max-total-memory", "500M") as server:
        until("three workers", lambda: len(server.workers()) == 3)
        with Load(server, target="/") as load:
            pid = server.get("/?mib=500").text
            until("the largest is replaced", lambda: replaced(server))
            assert replaced(server) == [(pid, "max_total_memory")]
            until("its end", lambda: not processes.alive(int(pid)))
            load.more(50)
        assert not load.lost, load.lost


def test_old_workers_are_replaced_under_load():
    with grown("--worker-max-age", "1") as server:
        with Load(server, target="/") as load:
            until_after("workers are replaced", lambda: len(replaced(server)), 6)
            load.more(50)
        assert not load.lost, load.lost
        assert {reason for _, reason in replaced(server)} == {"worker_max_age (1 s)"}


# Never gets beyond the import while the file is there.
SLOW = """
import os
import time
while os.path.exists(os.path.join(os.environ["HOME"], "closed")):
    time.sleep(0.01)
from lifecycle import application
"""


def test_an_import_that_takes_too_long():
    expects = ["boot_timeout", "Reload given up"]
    files = {"slow.py": SLOW, "conf.py": ""}
    with Server(OXICORN, "slow:application", "--config", "conf.py", "--timeout", "0", files=files, expects=expects) as server:
        old = until("a worker", server.workers)
        (server.folder / "closed").touch()
        # Only now: on a busy machine an import may take as long.
        (server.folder / "conf.py").write_text("boot_timeout = 2")
        server.signal(SIGHUP)
        until("the verdict", lambda: "Reload given up" in server.error_text())
        assert "it did not get ready in time (boot_timeout)" in server.error_text()
        assert server.get("/pid").text == str(old[0])


def test_a_config_file_sets_all_of_it():
    config = "max_worker_memory = '40%'\nmax_total_memory = 4096\nworker_max_age = 3600\nboot_timeout = 90.5\n"
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "conf.py").write_text(config)
        command = [*program(OXICORN), "-c", "conf.py", "--print-config", "lifecycle:application"]
        printed = subprocess.run(command, cwd=folder, env=environment_of({"HOME": folder}), capture_output=True, text=True, check=True).stdout
    for line in ["max_worker_memory +40%", "max_total_memory +4096", "worker_max_age +3600", "boot_timeout +90.5"]:
        assert re.search(line.replace(" +", r"\W+"), printed), printed
