"""Views that fork: children that return from the application, and children that do not."""

import multiprocessing
import os
import sys
import time


def status(pid):
    code = os.waitpid(pid, 0)[1]
    return str(os.WEXITSTATUS(code) if os.WIFEXITED(code) else -os.WTERMSIG(code))


def back(what):
    """Forks. The child does `what`, and the parent returns how it ended."""
    pid = os.fork()
    if pid == 0:
        return what()
    return status(pid)


def fail():
    raise ValueError("raised by the child")


def say():
    print("said by the child", end="")
    return "by the child"


def pieces(start_response):
    start_response("200 OK", [])
    yield b"one "
    pid = os.fork()
    if pid:
        yield status(pid).encode()
    else:
        yield b"by the child"


def written(start_response):
    write = start_response("200 OK", [])
    pid = os.fork()
    if pid == 0:
        write(b"by the child")
        return []
    return [b"child ended with ", status(pid).encode()]


class Closing:
    """A body whose close() forks."""

    def __iter__(self):
        yield b"body"
        yield b""

    def close(self):
        self.pid = os.fork()
        if self.pid:
            os.waitpid(self.pid, 0)


def stay():
    """A process that continues, with all descriptors of this one."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    with open(os.path.join(os.environ["HOME"], "child"), "w") as file:
        file.write(str(process.pid))
    return "started"


def outlive():
    """A process that survives the worker."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    with open(os.path.join(os.environ["HOME"], "child"), "w") as file:
        file.write(str(pid))
    return "started"


def terminate():
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    process.terminate()
    process.join(10)
    return str(process.exitcode)


def broken(start_response):
    stay()
    start_response("200 OK", [])

    def body():
        yield b"some of it"
        raise ValueError("broken off")
    return body()


DO = {
    "/return": lambda: back(say),
    "/raise": lambda: back(fail),
    "/exit": lambda: back(lambda: sys.exit(7)),
    "/stay": stay,
    "/outlive": outlive,
    "/terminate": terminate,
    "/pid": lambda: str(os.getpid()),
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/pieces":
        return pieces(start_response)
    if path == "/written":
        return written(start_response)
    if path == "/broken":
        return broken(start_response)
    if path == "/closing":
        start_response("200 OK", [])
        return Closing()
    body = DO.get(path, lambda: "ready")().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
