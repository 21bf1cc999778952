"""Automatic scaling of a WSGI application. gunicorn has nothing alike."""

import os
from signal import SIGHUP, SIGKILL, SIGTTIN

import pytest

from harness import OXICORN, Load, Server, until

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
