"""An application for tests of processes: which one serves, since when, and requests that wait for the test."""

import os
import threading
import time

LOADED_BY = os.getpid()
# A new value each time the module is loaded.
LOAD = "%d.%d" % (os.getpid(), time.monotonic_ns() if hasattr(time, "monotonic_ns") else id(object()))


def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"].lstrip("/").partition("/")
    text = {
        "pid": lambda: str(os.getpid()),
        "ppid": lambda: str(os.getppid()),
        "load": lambda: LOAD,
        "loaded-by": lambda: "this" if LOADED_BY == os.getpid() else "another",
        "wait": lambda: wait(argument, environ),
        "sleep": lambda: time.sleep(float(argument)) or "slept",
        "spin": lambda: spin(float(argument)),
        "multithread": lambda: str(environ["wsgi.multithread"]),
        "exit": lambda: os._exit(int(argument)),
        "env": lambda: os.environ.get(argument, "(unset)"),
        "cwd": os.getcwd,
        "umask": lambda: umask(),
        "threads": lambda: str(threading.active_count()),
        "print": lambda: print("printed by the application", flush=True) or "printed",
    }.get(path, lambda: "ready")()
    body = text.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def spin(seconds):
    """Computes with the interpreter's lock."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return "spun"


def wait(name, environ):
    """Holds the request until the file of that name is gone. Another file shows that it is held."""
    folder = os.environ["GATES"]
    open(os.path.join(folder, name + ".held"), "w").close()
    while os.path.exists(os.path.join(folder, name)):
        time.sleep(0.005)
    return "let go"


def umask():
    found = os.umask(0)
    os.umask(found)
    return "%o" % found
