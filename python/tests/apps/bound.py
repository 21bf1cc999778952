"""Objects that Python binds to a thread: made at import and used in a request."""

import asyncio
import atexit
import decimal
import os
import signal
import sqlite3
import sys
import threading
import time
import warnings

DATABASE = sqlite3.connect(":memory:")
LOCAL = threading.local()
LOCAL.value = "of the import"
decimal.getcontext().prec = 50
HANDLED = []
sys.setrecursionlimit(20000)


def handle(number, frame):
    HANDLED.append(number)


signal.signal(signal.SIGALRM, handle)


@atexit.register
def note_end():
    with open(os.path.join(os.environ["HOME"], "ended"), "a") as file:
        file.write("%d\n" % os.getpid())


def loop():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return type(asyncio.get_event_loop()).__name__


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return str(condition())


def alarm_in_a_view():
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        return wait_for(lambda: seen == [1])
    finally:
        signal.signal(signal.SIGALRM, before)


def deadline_in_a_view():
    def stop(*_):
        raise TimeoutError
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        while True:
            time.sleep(1)
    except TimeoutError:
        return "stopped"
    finally:
        signal.signal(signal.SIGALRM, before)


def kill_self():
    HANDLED.clear()
    os.kill(os.getpid(), signal.SIGALRM)
    return wait_for(lambda: HANDLED)


def alarm_while_idle():
    HANDLED.clear()
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return "set"


async def answer():
    return "answered"


def deep(count):
    return count and 1 + max(map(deep, [count - 1]))


def hang():
    open(os.path.join(os.environ["HOME"], "hangs"), "w").close()
    while True:
        time.sleep(0.01)


def hold_the_lock():
    # For hours, in C code that keeps the interpreter's lock.
    10 ** 10 ** 9
    return "done"


DO = {
    "/sqlite": lambda: DATABASE.execute("select 1").fetchone(),
    "/loop": loop,
    "/asyncio-run": lambda: asyncio.run(answer()),
    "/decimal": lambda: len(str(decimal.Decimal(1) / 3)),
    "/local": lambda: getattr(LOCAL, "value", "none"),
    "/main": lambda: threading.current_thread() is threading.main_thread(),
    "/alarm": alarm_in_a_view,
    "/deadline": deadline_in_a_view,
    "/kill": kill_self,
    "/idle": alarm_while_idle,
    "/handled": lambda: HANDLED,
    "/term": lambda: signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.SIG_IGN, None),
    "/steal": lambda: signal.signal(signal.SIGTERM, handle) and "stolen",
    "/int": lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "/deep": lambda: deep(4000),
    "/hang": hang,
    "/hold": hold_the_lock,
    "/pid": os.getpid,
}


def application(environ, start_response):
    do = DO.get(environ["PATH_INFO"], lambda: "ready")
    try:
        body = str(do())
    except Exception as error:
        body = type(error).__name__
    body = body.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
