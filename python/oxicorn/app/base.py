"""``BaseApplication`` for programs that bring their own settings and application, as with gunicorn:

    class Standalone(oxicorn.app.base.BaseApplication):
        def load_config(self):
            self.cfg.set("workers", 4)

        def load(self):
            return wsgi_callable

    Standalone().run()
"""

import os
import sys

from .. import _oxicorn
from ..hooks import Setting


class Config:
    """The settings of a program: those that it sets, over the defaults. The server checks the values."""

    def __init__(self, usage=None, prog=None):
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = os.environ.copy()
        self.settings = {name: Setting(name, value) for name, value in _oxicorn.defaults().items()}
        # What was set, in the order of setting.
        self.chosen = {}

    def set(self, name, value):
        """Set one setting by its name."""
        if name not in self.settings:
            raise AttributeError(f"there is no setting called {name}")
        self.settings[name].value = value
        self.chosen[name] = value

    def __getattr__(self, name):
        try:
            return self.__dict__["settings"][name].value
        except KeyError:
            raise AttributeError(f"there is no setting called {name}") from None

    def __setattr__(self, name, value):
        if name in self.__dict__.get("settings", ()):
            raise AttributeError(f"{name} is set by cfg.set({name!r}, ...)")
        super().__setattr__(name, value)

    def __str__(self):
        width = max(map(len, self.settings))
        return "\n".join(f"{name:{width}} = {setting.value}" for name, setting in sorted(self.settings.items()))


class BaseApplication:
    """An application and its settings. A subclass has ``load_config`` and ``load``."""

    def __init__(self, usage=None, prog=None):
        self.usage = usage
        self.prog = prog
        self.cfg = None
        self.callable = None
        self.logger = None
        self.do_load_config()

    def do_load_config(self):
        """Read the settings, from nothing; what is wrong with them ends the program."""
        try:
            self.load_default_config()
            self.load_config()
        except Exception as error:
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            sys.exit(1)

    def load_default_config(self):
        """Begin with the defaults."""
        self.cfg = Config(self.usage, prog=self.prog)

    def load_config(self):
        """Set what is not to be at its default, with ``self.cfg.set``."""
        raise NotImplementedError

    def load(self):
        """Return the WSGI callable. Called once in each worker."""
        raise NotImplementedError

    def reload(self):
        """Read the settings again, on SIGHUP."""
        self.do_load_config()

    def wsgi(self):
        """Return the WSGI callable, loaded when it is first asked for."""
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        """Serve, and end the program with the server's exit code."""
        sys.exit(_oxicorn.serve(self, f"{type(self).__module__}.{type(self).__qualname__}"))


class Application(BaseApplication):
    """An application whose settings come from the command line and the other sources of the ``oxicorn`` command."""

    def load_config(self):
        """Leave everything to the command line."""
        self.cfg.prog = self.prog

    def run(self):
        """Serve what the command line names, unless the subclass has settings of its own."""
        if type(self).load_config is Application.load_config:
            sys.exit(_oxicorn.main(sys.argv))
        super().run()
