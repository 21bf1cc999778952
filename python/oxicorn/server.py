"""The master and its workers, as hooks see them."""

import os
import sys

from . import _oxicorn, logs
from .listener import Listener


class Worker:
    """A worker, from just before its fork to its end."""

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
        # The number of its requests so far.
        self.nr = 0
        self.max_requests = server.cfg.max_requests or sys.maxsize

    def __str__(self):
        return f"<Worker {self.pid}>"

    @property
    def alive(self):
        """Whether it continues. Setting it to false has the worker replaced."""
        return self._alive

    @alive.setter
    def alive(self, value):
        self._alive = value
        if not value and self.pid == os.getpid():
            _oxicorn.retire()

    @property
    def nr_conns(self):
        """The number of connected clients."""
        return self._connections() if self._connections else 0

    @property
    def log(self):
        """The logger, an instance of ``logger_class``."""
        return logs.current()

    def notify(self):
        """Do nothing: the event loop keeps the heartbeat."""


class Server:
    """The master; gunicorn calls it the arbiter."""

    def __init__(self, cfg):
        self.pid = os.getpid()
        self.master_pid = 0
        self.reexec_pid = 0
        self.master_name = "Master"
        self.worker_age = 0
        self.num_workers = None
        self.WORKERS = {}
        # In the master, the worker that is about to be forked; in a worker, itself.
        self.worker = None
        self.adopt(cfg)

    def adopt(self, cfg):
        """Take the settings of a reload."""
        self.cfg = cfg
        self.LISTENERS = [Listener(cfg.address, place) for place in range(len(cfg.address))]
        self.timeout = cfg.timeout
        self.proc_name = cfg.proc_name

    @property
    def address(self):
        """The addresses that the server listens on."""
        return self.cfg.address

    @property
    def log(self):
        """The logger, an instance of ``logger_class``."""
        return logs.current()
