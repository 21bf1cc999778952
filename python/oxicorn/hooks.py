"""What the hooks of a config file are called with: server, worker, settings and log, as gunicorn documents them."""

import os
import pathlib  # noqa: F401  Settings that are paths come as its own, and this must not be the project's module.
import sys
import urllib.parse

from . import _oxicorn
from .cfg import Values
from .listener import Listener


class Config(Values):
    """The settings that the server runs by."""

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be set any more: the server runs by its settings already")

    def set(self, name, value):
        """Refuse, as any other way to set something."""
        setattr(self, name, value)


def _nothing(*_arguments):
    """The hook that is not set."""


class Worker:
    """A worker, from before its fork in the master to its end in its own process."""

    def __init__(self, age, server):
        self.age = age
        self.pid = "[booting]"
        self.ppid = server.pid
        self.cfg = server.cfg
        self.timeout = server.cfg.timeout / 2
        self.sockets = server.LISTENERS
        self.wsgi = None
        self.booted = False
        self.aborted = False
        self._alive = True
        self._connections = None
        # Requests that it has begun.
        self.nr = 0
        self.max_requests = server.cfg.max_requests or sys.maxsize

    def __str__(self):
        return f"<Worker {self.pid}>"

    @property
    def alive(self):
        """Whether it goes on; one that is set to false is replaced."""
        return self._alive

    @alive.setter
    def alive(self, value):
        self._alive = value
        if not value and self.pid == os.getpid():
            _oxicorn.retire()

    @property
    def nr_conns(self):
        """How many clients are connected to it."""
        return self._connections() if self._connections else 0

    @property
    def log(self):
        """What logs: an instance of ``logger_class``."""
        return logs.current()

    def notify(self):
        """Nothing to do: the heartbeat is the event loop's, not the application's."""


class Request:
    """A request, as ``pre_request`` and ``post_request`` see it."""

    def __init__(self, method, uri, path, query, version, headers, remote_addr, scheme):
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = ""
        self.version = version
        # Pairs, with the names in capitals.
        self.headers = headers
        self.remote_addr = self.peer_addr = remote_addr
        self.scheme = scheme
        self._arrived = {**vars(self), "headers": list(headers)}

    def amend(self, environ):
        """Have the application see what ``pre_request`` has changed: gunicorn makes its environ after that."""
        for name, key in IN_ENVIRON.items():
            value = getattr(self, name)
            if value != self._arrived[name]:
                environ[key] = value
        if self.path != self._arrived["path"]:
            # As PEP 3333 has it: octets as Latin-1.
            path = self.path.removeprefix(environ["SCRIPT_NAME"])
            environ["PATH_INFO"] = urllib.parse.unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
        if self.headers != self._arrived["headers"]:
            before, now = _variables(self._arrived["headers"]), _variables(self.headers)
            for key in before.keys() - now.keys():
                environ.pop(key, None)
            environ.update((key, value) for key, value in now.items() if before.get(key) != value)


# What a hook may change of a request, by where the application finds it.
IN_ENVIRON = {"method": "REQUEST_METHOD", "uri": "RAW_URI", "query": "QUERY_STRING", "scheme": "wsgi.url_scheme"}


def _variables(headers):
    """The variables of an environ for these fields."""
    found = {}
    for name, value in headers:
        name = name.upper().replace("-", "_")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


class Response:
    """A response, as ``post_request`` sees it."""

    def __init__(self, status, status_code, headers, response_length):
        self.status = status
        self.status_code = status_code
        self.headers = headers
        self.response_length = response_length
        self.headers_sent = True
        # Octets of the body.
        self.sent = 0


class Server:
    """The master, which gunicorn calls the arbiter."""

    def __init__(self, cfg):
        self.pid = os.getpid()
        self.master_pid = 0
        self.reexec_pid = 0
        self.master_name = "Master"
        self.worker_age = 0
        self.num_workers = None
        self.WORKERS = {}
        # The one that is announced, and in a worker its own.
        self.worker = None
        self.adopt(cfg)

    def adopt(self, cfg):
        """Go by other settings, after a reload."""
        self.cfg = cfg
        self.LISTENERS = [Listener(cfg.address, place) for place in range(len(cfg.address))]
        self.timeout = cfg.timeout
        self.proc_name = cfg.proc_name

    @property
    def address(self):
        """Where the server listens."""
        return self.cfg.address

    @property
    def log(self):
        """What logs: an instance of ``logger_class``."""
        return logs.current()


class Hooks:
    """The functions of one reading of a config file."""

    # One for all readings: workers outlive a reload.
    server = None

    def __init__(self, functions):
        self.functions = functions
        self.cfg = None

    def settle(self, values, names):
        """Take the settings that came of the reading, and the names of all hooks, before the first call."""
        hooks = {name: self.functions.get(name, _nothing) for name in names}
        self.cfg = Config({**values, **hooks})
        if Hooks.server is None:
            Hooks.server = Server(self.cfg)

    def nworkers_changed(self, new, old):
        self.server.num_workers = new
        self._call("nworkers_changed", self.server, new, old)

    def on_starting(self):
        self.server.pid = os.getpid()
        self._call("on_starting", self.server)

    def when_ready(self):
        self._call("when_ready", self.server)

    def on_reload(self):
        before = self.server.cfg
        self.server.adopt(self.cfg)
        try:
            self._call("on_reload", self.server)
        except BaseException:
            self.server.adopt(before)
            raise

    def pre_fork(self, age):
        self.server.worker_age = age
        self.server.worker = Worker(age, self.server)
        self._call("pre_fork", self.server, self.server.worker)

    def forked(self, age, pid):
        worker = self._of(age)
        worker.pid = pid
        self.server.WORKERS[pid] = worker
        self.server.worker = None

    def child_exit(self, age):
        for pid, worker in self.server.WORKERS.items():
            if worker.age == age:
                del self.server.WORKERS[pid]
                self._call("child_exit", self.server, worker)
                return

    def mold_exit(self, pid):
        """The process has ended that the workers of a preloaded application came out of."""
        worker = Worker(0, self.server)
        worker.pid, worker._alive = pid, False
        self._call("child_exit", self.server, worker)

    def pre_exec(self):
        self._call("pre_exec", self.server)

    def succession(self, predecessor, successor):
        """Another master has come or gone; no pid is 0."""
        self.server.master_pid, self.server.reexec_pid = predecessor, successor
        self.server.master_name, suffix = ("Master.2", ".2") if predecessor else ("Master", "")
        self.server.proc_name = f"{self.cfg.proc_name}{suffix}"

    def on_exit(self):
        self._call("on_exit", self.server)

    def post_fork(self, age):
        worker = self._of(age)
        worker.pid = os.getpid()
        worker.ppid = os.getppid()
        self._call("post_fork", self.server, worker)

    def post_worker_init(self, age):
        worker = self._of(age)
        self._call("post_worker_init", worker)
        worker.booted = True

    def worker_int(self, age):
        worker = self._of(age)
        worker._alive = False
        self._call("worker_int", worker)

    def worker_abort(self, age):
        worker = self._of(age)
        worker._alive = False
        worker.aborted = True
        self._call("worker_abort", worker)

    def worker_exit(self, age):
        worker = self._of(age)
        worker._alive = False
        self._call("worker_exit", self.server, worker)

    def loaded(self, age, application, connections):
        """The worker has its application; ``connections`` counts its clients."""
        worker = self._of(age)
        worker.wsgi, worker._connections = application, connections

    def pre_request(self, request):
        worker = self.server.worker
        if request is not None:
            self._call("pre_request", worker, request)
        worker.nr += 1

    def post_request(self, request, environ, response, sent):
        if response is not None:
            response.sent = sent
        self._call("post_request", self.server.worker, request, environ, response)

    def _of(self, age):
        """The worker of this age, which another process than this may have announced."""
        worker = self.server.worker
        if worker is None or worker.age != age:
            worker = self.server.worker = Worker(age, self.server)
        return worker

    def _call(self, name, *arguments):
        function = self.functions.get(name)
        if function is not None:
            function(*arguments)


# It has need of the classes above.
from . import logs  # noqa: E402
