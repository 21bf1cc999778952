"""Signals: their effect on the process tree, the clients and the logs."""

import itertools
import os
import signal
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH

import pytest

from harness import OXICORN, Closed, Gate, Load, Scenarios, Server, processes, until

signals = Scenarios("signals")


def count_is(server, count):
    until(f"{count} workers", lambda: len(server.workers()) == count)


def settled(server, count, old=()):
    """Waits until there are `count` workers, none of the `old` ones, and each has answered."""
    until("the end of the old workers", lambda: not set(old) & set(server.workers()))
    count_is(server, count)
    seen = set()
    until(f"answers of {count} workers", lambda: seen.add(server.get("/pid").text) or len(seen) >= count)
    return len(server.workers())


def replaced(server, old):
    """All old workers are gone, and the same number of new ones is there."""
    until("new workers in place of the old", lambda: len(now := server.workers()) == len(old) and not set(old) & set(now))


@signals("--workers", "1")
def ttin(server):
    server.signal(SIGTTIN)
    first = settled(server, 2)
    server.signal(SIGTTIN)
    return {"after one": first, "after two": settled(server, 3)}


@signals("--workers", "3")
def ttou(server):
    settled(server, 3)
    old = server.workers()
    server.signal(SIGTTOU)
    count_is(server, 2)
    # The oldest one ends.
    facts = {"who stays": server.workers() == old[1:]}
    server.signal(SIGTTOU)
    count_is(server, 1)
    server.signal(SIGTTOU)
    # Two pending signals are delivered in the order of their numbers.
    until("it is handled", lambda: server.error_text().count("Handling signal: ttou") == 3)
    server.signal(SIGTTIN)
    return {**facts, "never less than one": settled(server, 2)}


@signals("--workers", "1")
def ttin_then_hup(server):
    server.signal(SIGTTIN)
    settled(server, 2)
    old = server.workers()
    server.signal(SIGHUP)
    until("new workers", lambda: server.workers() and not set(old) & set(server.workers()))
    before = len(server.workers())
    server.signal(SIGTTIN)
    until("one more", lambda: len(server.workers()) > before)
    seen = {server.get("/pid").text for _ in range(20)}
    return {"workers after HUP and one TTIN": len(server.workers()), "serves": bool(seen)}


@signals("--workers", "2")
def hup(server):
    settled(server, 2)
    old, master = server.workers(), server.pid
    loads = server.get("/load").text
    server.signal(SIGHUP)
    replaced(server, old)
    return {
        "the master is the same": server.process.poll() is None and server.pid == master,
        "the application is loaded again": server.get("/load").text != loads,
        "workers": settled(server, 2),
    }


@signals("--config", "{folder}/conf.py", files={"conf.py": "workers = 1\nraw_env = ['COLOUR=red']\n"})
def hup_reads_the_config_file(server):
    before, old = server.get("/env/COLOUR").text, server.workers()
    (server.folder / "conf.py").write_text("workers = 2\nraw_env = ['COLOUR=blue']\n")
    server.signal(SIGHUP)
    until("the new value", lambda: server.get("/env/COLOUR").text == "blue")
    return {"before": before, "workers": settled(server, 2, old)}


@signals("--config", "{folder}/conf.py", files={"conf.py": "workers = 1\n"}, expects=[r""])
def hup_with_a_broken_config_file(server):
    (server.folder / "conf.py").write_text("workers = = 2\n")
    server.signal(SIGHUP)
    until("a line of it", lambda: "SyntaxError" in server.error_text() or server.process.poll() is not None)
    code = server.process.poll()
    server.code, server.orphans = code or 0, server.is_gunicorn
    return {"exit code": code, "serves": code is None and server.get("/pid").status == 200}


@signals.by_kind
def hup_with_a_broken_application(kind):
    files = {"app.py": "from lifecycle import application\n"}
    with Server(kind, "app:application", "--workers", "1", "--pythonpath", "{folder}", files=files, expects=[r""]) as server:
        old = server.workers()
        (server.folder / "app.py").write_text("import nothing_of_that_name\n")
        server.signal(SIGHUP)
        until("the traceback", lambda: "ModuleNotFoundError: No module named 'nothing_of_that_name'" in server.error_text())
        until("an end, or the old worker", lambda: server.process.poll() is not None or server.workers()[:1] == old)
        if not server.is_gunicorn:
            assert server.get("/pid").text == str(old[0])
        else:
            server.code = server.wait_exit()
        code = server.process.poll()
        return {"exit code": code}


@signals("--workers", "1", "--preload")
def hup_of_a_preloaded_application(server):
    before = server.get("/load").text
    facts = {"loaded by": server.get("/loaded-by").text}
    old = server.workers()
    server.signal(SIGHUP)
    # Until it has gone, the old one may serve beside the new one.
    replaced(server, old)
    return {**facts, "the application is loaded again": server.get("/load").text != before}


@signals("--workers", "2")
def usr1(server):
    settled(server, 2)
    server.get("/pid?before")
    until("the line", lambda: any("?before" in line for line in server.access_lines()))
    for log in (server.access_log, server.error_log):
        log.rename(log.with_suffix(".1"))
    server.signal(SIGUSR1)
    # Each worker reopens its own.
    until("both logs", lambda: server.access_log.exists() and server.error_log.exists())

    old, numbers = server.access_log.with_suffix(".1"), itertools.count()

    def in_new_file():
        target = f"/pid?after-{next(numbers)}-"
        server.get(target)
        found = until("its line", lambda: [log for log in (old, server.access_log) if target in log.read_text()])
        return found == [server.access_log]
    until("all lines in the new file", lambda: all(in_new_file() for _ in range(10)))
    server.signal(SIGTTIN)
    until("a line in the new error log", lambda: server.error_text())
    return {"workers": settled(server, 3)}


@signals("--workers", "1", gated=True)
def term_finishes_requests(server, gate):
    with server.connect() as client:
        client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        gate.wait_held()
        server.signal(SIGTERM)
        # gunicorn's worker does not log it.
        line = "Worker draining" if server.kind == OXICORN else "Handling signal: term"
        until("the line of the signal", lambda: line in server.error_text())
        gate.open()
        answer = client.answer()
        code = server.wait_exit()
        return {"status": answer.status, "body": answer.body, "connection": answer.field("Connection"), "exit code": code}


def stops_now(number):
    def run(server, gate):
        with server.connect() as client:
            client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            gate.wait_held()
            server.signal(number)
            code = server.wait_exit()
            try:
                answered = client.answer().status
            except Exception as error:
                answered = type(error).__name__
            return {"exit code": code, "answered": answered}
    run.__name__ = f"{signal.Signals(number).name.lower()}-stops-now"
    return run


# Not with gthread: a held request holds gunicorn's thread, and its interpreter waits for that at exit.
signals("--workers", "1", gated=True, expects=[r""])(stops_now(SIGINT))
signals("--workers", "1", gated=True, expects=[r""])(stops_now(SIGQUIT))


@signals("--workers", "1", "--graceful-timeout", "1", gated=True, expects=[r""])
def term_does_not_wait_for_ever(server, gate):
    with server.connect() as client:
        client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        gate.wait_held()
        server.signal(SIGTERM)
        return {"exit code": server.wait_exit()}


@signals("--workers", "2")
def winch_in_the_foreground(server):
    server.signal(SIGWINCH)
    until("the line of the signal", lambda: "winch" in server.error_text().lower() or not server.workers())
    server.signal(SIGTTIN)
    until("a worker", lambda: server.workers())
    return {"serves": server.get("/pid").status}


@signals("--workers", "1", expects=[r""])
def worker_killed(server):
    (old,) = server.workers()
    os.kill(old, SIGKILL)
    replaced(server, [old])
    told = [line for line in server.errors() if str(old) in line.message and line.level in ("ERROR", "WARNING", "CRITICAL")]
    return {"serves": server.get("/pid").status, "told": bool(told), "level": told[0].level if told else None}


def worker_gets(number):
    def run(server):
        (old,) = server.workers()
        os.kill(old, number)
        replaced(server, [old])
        return {"serves": server.get("/pid").status}
    run.__name__ = f"worker-gets-{signal.Signals(number).name.lower()}"
    return run


for number in (SIGTERM, SIGINT, SIGQUIT):
    signals("--workers", "1", expects=[r""])(worker_gets(number))


@signals("--workers", "1", expects=[r""])
def application_exits(server):
    (old,) = server.workers()
    with server.connect() as client:
        try:
            answered = client.get("/exit/9").status
        except (Closed, ConnectionError):
            answered = "closed"
    replaced(server, [old])
    return {"answered": answered, "serves": server.get("/pid").status}


@signals("--workers", "1", "--pid", "{folder}/pid")
def usr2(server):
    pidfile = server.folder / "pid"
    facts = {"pid file": pidfile.read_text().strip() == str(server.pid)}
    server.signal(SIGUSR2)
    second = server.folder / "pid.2"
    until("a second master", lambda: second.exists() and second.read_text().strip())
    new = int(second.read_text())
    until("its worker", lambda: processes.children(new))
    until("its answer", lambda: server.get("/ppid").text == str(new))
    server.signal(SIGTERM)
    facts["exit code"] = server.wait_exit()
    until("the file renamed", lambda: pidfile.exists() and pidfile.read_text().strip() == str(new) and not second.exists())
    facts["serves"] = server.get("/ppid").text == str(new)
    os.kill(new, SIGTERM)
    until("its end", lambda: not processes.alive(new))
    return {**facts, "pid file left": pidfile.exists()}


test_signals = signals.test()


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
@pytest.mark.parametrize("preload", [False, True], ids=["each", "preload"])
def test_hup_loses_nothing(fresh, preload):
    """Only oxicorn: gunicorn loses connections during a reload."""
    with Server(OXICORN, "lifecycle:application", "--workers", "2", "--threads", "2", *(["--preload"] if preload else [])) as server:
        with Load(server, fresh=fresh) as load:
            for _ in range(3):
                count_is(server, 2)
                old = server.workers()
                server.signal(SIGHUP)
                until("new workers", lambda: not set(old) & set(server.workers()) and len(server.workers()) == 2)
                load.more(50)
        assert (load.lost, load.again) == ([], 0), f"{load.served} served"


@pytest.mark.parametrize("fresh", [False, True], ids=["kept", "fresh"])
def test_worker_counts_under_load(fresh):
    with Server(OXICORN, "lifecycle:application", "--workers", "1", "--threads", "2") as server, Load(server, fresh=fresh) as load:
        for number, count in ((SIGTTIN, 2), (SIGTTIN, 3), (SIGTTOU, 2), (SIGUSR1, 2), (SIGTTOU, 1)):
            server.signal(number)
            count_is(server, count)
            load.more(50)
        load.end()
        assert (load.lost, load.again) == ([], 0), f"{load.served} served"


def test_max_requests_loses_nothing():
    args = ("--workers", "2", "--threads", "2", "--max-requests", "40", "--max-requests-jitter", "10")
    with Server(OXICORN, "lifecycle:application", *args) as server, Load(server) as load:
        until("five workers one after the other", lambda: len(load.texts) >= 5 or load.lost)
        load.end()
        assert (load.lost, load.again) == ([], 0)


def test_term_loses_nothing_that_was_accepted():
    with Gate() as gate, Server(OXICORN, "lifecycle:application", "--workers", "2", "--threads", "2", env=gate.env) as server:
        clients = [server.connect() for _ in range(4)]
        for client in clients:
            client.send(f"GET {gate.target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        gate.wait_held()
        server.signal(SIGTERM)
        gate.open()
        for client in clients:
            assert client.answer().status == 200
            client.close()
        assert server.wait_exit() == 0
