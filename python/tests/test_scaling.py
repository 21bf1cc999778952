"""Automatic scaling of a WSGI application. gunicorn has nothing alike."""

import os
from signal import SIGHUP, SIGKILL, SIGTTIN

import pytest

from harness import OXICORN, Load, Server, until
from harness.control_client import status

MOST = 3
# Several steps, in seconds; the server waits for a minute before it does with fewer workers.
UP, DOWN = 120, 300


def elastic(*flags, **options):
    return Server(OXICORN, "lifecycle:application", "--max-workers", str(MOST), *flags, **options)


def wait_for_most(server):
    until("a step up", lambda: "Scaling up from 1 to 2 workers: " in server.error_text(), UP)
    until("all workers", lambda: len(server.workers()) == MOST, UP)


@pytest.mark.timeout(2 * DOWN)
def test_a_step_raises_the_workers_loses_nothing_and_they_fall_again():
    with elastic("--env", "WHO=scaling") as server:
        with Load(server, clients=6, target="/sleep/0.3") as load:
            wait_for_most(server)
            load.more(12)
        assert not load.lost and not load.again
        until("one worker", lambda: len(server.workers()) == 1, DOWN)
        assert "Scaling down from 2 to 1 workers: " in server.error_text()
        assert server.get("/env/WHO").text == "scaling"


def test_a_reload_and_a_worker_that_is_killed_keep_the_number():
    expects = ["was killed by SIGKILL, which was not sent by the master"]
    with elastic("--preload", expects=expects) as server:
        with Load(server, clients=6, target="/sleep/0.3") as load:
            wait_for_most(server)
            server.signal(SIGHUP)
            until("the reload", lambda: f"Generation 2 serves with {MOST} workers" in server.error_text())
            load.more(6)
        assert not load.lost and not load.again
        victim = until("workers", lambda: len(server.workers()) == MOST and server.workers())[0]
        os.kill(victim, SIGKILL)
        until("another one", lambda: len(server.workers()) == MOST and victim not in server.workers())


def test_signals_move_the_floor():
    with elastic() as server:
        for count in range(2, MOST + 1):
            server.signal(SIGTTIN)
            until(f"{count} workers", lambda wanted=count: len(server.workers()) == wanted)
        server.signal(SIGTTIN)
        until("the reason", lambda: f"{MOST} workers are the most (max_workers)" in server.error_text())


# On a busy machine a step may seem to be in vain, and the next try comes after 10 s, then 20, then 40.
PATIENCE = 300


def with_threads(*flags, **options):
    return Server(OXICORN, "lifecycle:application", "--max-threads", "6", *flags, **options)


def threads(server, state):
    workers = [it for it in status(server)["workers"] if it["kind"] == "worker"]
    return sum(it["state"] == state for worker in workers for it in worker["threads"])


def wait_for_least(server):
    """What a thread has decided or sent, it shows a moment later."""
    until("one thread that serves", lambda: (threads(server, "idle"), threads(server, "reserve")) == (1, 5))


def wait_for_all(server):
    until("all threads at work", lambda: threads(server, "running") == 6, PATIENCE)


def hurry(server):
    """Gives the threads of the worker a processor, whatever else this machine does."""
    worker, = server.workers()
    for thread in os.listdir(f"/proc/{worker}/task"):
        try:
            os.setpriority(os.PRIO_PROCESS, int(thread), -20)
        except PermissionError:
            pytest.skip("only root may")


def test_views_that_wait_get_more_threads_and_they_leave_when_nobody_needs_them():
    with with_threads() as server:
        assert server.get("/multithread").text == "True"
        wait_for_least(server)
        with Load(server, clients=8, target="/sleep/0.05") as load:
            wait_for_all(server)
            load.more(16)
        assert not load.lost and not load.again
        until("they leave", lambda: "1 of 6 threads serve now (max_threads): at most " in server.error_text(), PATIENCE)
        wait_for_least(server)


@pytest.mark.parametrize("begin", ["1", "2"])
def test_views_that_compute_get_none(begin):
    """Of two, one waits for the lock of the interpreter, which is no reason for a third."""
    with with_threads("--threads", begin) as server:
        hurry(server)
        with Load(server, clients=6, target="/spin/0.005") as load:
            load.more(300)
        assert not load.lost and not load.again
        assert "threads serve now" not in server.error_text()


def test_views_that_begin_to_compute_send_the_others_back():
    with with_threads("--timeout", "0") as server:
        with Load(server, clients=8, target="/sleep/0.05"):
            wait_for_all(server)
        hurry(server)
        with Load(server, clients=8, target="/spin/0.005") as load:
            line = "1 of 6 threads serve now (max_threads): they compute, and have used "
            until("they go back", lambda: line in server.error_text(), PATIENCE)
        assert not load.lost and not load.again


def test_a_reload_and_a_worker_that_is_killed_amid_more_threads():
    expects = ["was killed by SIGKILL, which was not sent by the master"]
    with with_threads(expects=expects) as server:
        with Load(server, clients=8, target="/sleep/0.05") as load:
            wait_for_all(server)
            server.signal(SIGHUP)
            until("the reload", lambda: "Generation 2 serves with 1 worker" in server.error_text())
            until("the old one has ended", lambda: len(server.workers()) == 1)
            wait_for_all(server)
            load.more(8)
            assert server.error_text().count(" 2 of 6 threads serve now") == 1
        assert not load.lost and not load.again
        victim, = until("one worker", lambda: len(server.workers()) == 1 and server.workers())
        os.kill(victim, SIGKILL)
        until("another one", lambda: len(server.workers()) == 1 and victim not in server.workers())
        wait_for_least(server)
