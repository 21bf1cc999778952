"""Scenarios: functions that do something to a server and return what they see as facts.

    signals = Scenarios("signals")

    @signals("--workers", "1")
    def ttin(server):
        server.signal(SIGTTIN)
        until("two workers", lambda: len(server.workers()) == 2)
        return {...}

    test_signals = signals.test()

Each runs once for gunicorn and once for oxicorn, at the same time, and the facts are compared.
"""

import pytest

from .comparison import compare
from .gate import Gate
from .pair import both
from .server import Server


class Scenarios:
    def __init__(self, group, app="lifecycle:application"):
        self.group, self.app, self.found = group, app, []

    def __call__(self, *args, app=None, gated=False, **options):
        """gated: the scenario also gets a gate that the application uses."""
        def register(function):
            def run(kind):
                if not gated:
                    with Server(kind, app or self.app, *args, **options) as server:
                        return function(server)
                with Gate() as gate:
                    more = {**options, "env": {**options.get("env", {}), **gate.env}}
                    with Server(kind, app or self.app, *args, **more) as server:
                        return function(server, gate)

            self._register(function, run)
            return function
        return register

    def by_kind(self, function):
        """For a scenario that starts its own servers: it gets the kind."""
        self._register(function, function)
        return function

    def _register(self, function, run):
        name = f"{self.group}/{function.__name__.replace('_', '-')}"
        self.found.append(pytest.param(name, run, id=name, marks=getattr(function, "pytestmark", [])))

    def test(self):
        @pytest.mark.parametrize("name, run", self.found)
        def test(name, run):
            compare(name, *both(run))
        return test
