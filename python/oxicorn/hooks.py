"""Calls the functions of a config file with the arguments that gunicorn documents.

It keeps the objects that they get: the server and its workers (`server.py`). The Rust side calls one method per event.
"""

import os

# PyO3 makes paths of it. It has to be loaded before a project's module of that name can be.
import pathlib  # noqa: F401

from .cfg import Config
from .server import Server, Worker


def _nothing(*_arguments):
    """A hook that is not set."""


class Hooks:
    """The functions from one reading of a config file."""

    # Shared by all readings, because workers outlive a reload.
    server = None

    def __init__(self, functions):
        self.functions = functions
        self.cfg = None

    def settle(self, values, names):
        """Before the first call: take the settings of this reading, and the names of all hooks."""
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
        """The mold, which preloaded the application, has ended."""
        worker = Worker(0, self.server)
        worker.pid, worker._alive = pid, False
        self._call("child_exit", self.server, worker)

    def pre_exec(self):
        self._call("pre_exec", self.server)

    def upgrade(self, old_master, new_master):
        """Another master has started or ended; 0 stands for none."""
        self.server.master_pid, self.server.reexec_pid = old_master, new_master
        self.server.master_name, suffix = ("Master.2", ".2") if old_master else ("Master", "")
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
        """The worker has loaded its application; ``connections`` returns the number of its clients."""
        worker = self._of(age)
        worker.wsgi, worker._connections = application, connections

    def pre_request(self, request):
        """Return the application that is to answer: the worker's, or what a hook has put in its place."""
        worker = self.server.worker
        if request is not None:
            self._call("pre_request", worker, request)
        worker.nr += 1
        return worker.wsgi

    def post_request(self, request, environ, response, sent):
        if response is not None:
            response.sent = sent
        self._call("post_request", self.server.worker, request, environ, response)

    def _of(self, age):
        """The worker of this age. Another process may have announced it."""
        worker = self.server.worker
        if worker is None or worker.age != age:
            worker = self.server.worker = Worker(age, self.server)
        return worker

    def _call(self, name, *arguments):
        function = self.functions.get(name)
        if function is not None:
            function(*arguments)
