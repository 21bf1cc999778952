"""``BaseApplication`` for programs that bring their own settings and application:

    class Standalone(oxicorn.app.base.BaseApplication):
        def load_config(self):
            self.cfg.set("workers", 4)

        def load(self):
            return wsgi_callable

    Standalone().run()
"""

import argparse
import os
import sys

from .. import _oxicorn, streams
from ..cfg import Values
from ..config_file import convert, default_file, variables


class Config(Values):
    """The settings of a program: its own, over the defaults."""

    def __init__(self, usage=None, prog=None):
        super().__init__(_oxicorn.defaults())
        self.usage = usage
        self.prog = prog or os.path.basename(sys.argv[0])
        self.env_orig = os.environ.copy()
        # The values that were set, in order.
        self.chosen = {}

    def set(self, name, value):
        """Set one setting. A ``ValueError`` says what would be right."""
        if name not in self.settings:
            raise AttributeError(f"there is no setting called {name}")
        self.settings[name].value = _oxicorn.checked(name, *convert(name, value), value)
        self.chosen[name] = value

    def __setattr__(self, name, value):
        if name in self.settings:
            raise AttributeError(f"{name} is set by cfg.set({name!r}, ...)")
        super().__setattr__(name, value)


class BaseApplication:
    """An application and its settings. A subclass has ``load_config`` and ``load``."""

    def __init__(self, usage=None, prog=None):
        streams.open_missing()
        self.usage = usage
        self.prog = prog
        self.cfg = None
        self.callable = None
        self.logger = None
        self.do_load_config()

    def do_load_config(self):
        """Read all settings. An error ends the program."""
        try:
            self.load_default_config()
            self.load_config()
        except Exception as error:
            print(f"\nError: {error}", file=sys.stderr, flush=True)
            sys.exit(1)

    def load_default_config(self):
        """Start from the defaults."""
        self.cfg = Config(self.usage, prog=self.prog)

    def load_config(self):
        """Set values with ``self.cfg.set``."""
        raise NotImplementedError

    def load(self):
        """Return the WSGI callable. Called once in each worker."""
        raise NotImplementedError

    def reload(self):
        """Read the settings again, on SIGHUP."""
        self.do_load_config()

    def wsgi(self):
        """Return the WSGI callable, and load it on the first call."""
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self):
        """Serve, and end the program with the server's exit code."""
        sys.exit(_oxicorn.serve(self, self._name()))

    def _name(self):
        return f"{type(self).__module__}.{type(self).__qualname__}"


class Application(BaseApplication):
    """An application whose settings come from the command line and the other sources of the ``oxicorn`` command.

    A subclass may have an ``init`` that returns settings of its own. All these sources override them.
    """

    def init(self, parser, opts, args):
        """Return settings by name, or ``None``. ``opts`` has the values of the command line as strings."""

    def load_config(self):
        """Apply the settings of the subclass, then those of the config file."""
        self.cfg.prog = self.prog
        if not self._has_own_settings():
            return
        given = _oxicorn.command_line(sys.argv)
        args = given.pop("wsgi_app", [])
        opts = argparse.Namespace(**{**dict.fromkeys(self.cfg.settings), **{name: texts[-1] for name, texts in given.items()}})
        own = self.init(argparse.ArgumentParser(prog=self.prog, usage=self.usage), opts, args)
        for name, value in (own or {}).items():
            self.cfg.set(name.lower(), value)
        place = _oxicorn.config_given(sys.argv) or default_file(os.getcwd())
        if place:
            self.load_config_from_file(place)

    def get_config_from_filename(self, filename):
        """Execute a config file and return its variables by name."""
        if not os.path.exists(filename):
            raise RuntimeError(f"{filename!r} doesn't exist")
        return variables(os.path.abspath(filename), is_module=False)

    def get_config_from_module_name(self, module_name):
        """Import a module of settings and return its variables by name."""
        return variables(module_name, is_module=True)

    def load_config_from_module_name_or_filename(self, location):
        """Apply the settings of ``PATH``, ``file:PATH`` or ``python:MODULE``, and ignore other names."""
        if location.startswith("python:"):
            found = self.get_config_from_module_name(location[len("python:") :])
        else:
            found = self.get_config_from_filename(location[len("file:") :] if location.startswith("file:") else location)
        for name, value in found.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        return found

    def load_config_from_file(self, filename):
        """Like ``load_config_from_module_name_or_filename``."""
        return self.load_config_from_module_name_or_filename(filename)

    def chdir(self):
        """Change to the directory of the settings, and add it to the module search path."""
        directory = self.cfg.chdir or os.getcwd()
        os.chdir(directory)
        if directory not in sys.path:
            sys.path.insert(0, directory)

    def run(self):
        """Serve by the command line, or by the settings of the subclass."""
        if type(self).load_config is not Application.load_config:
            super().run()
        if self._has_own_settings():
            sys.exit(_oxicorn.serve(self, self._name(), sys.argv))
        sys.exit(_oxicorn.main(sys.argv))

    def _has_own_settings(self):
        return type(self).init is not Application.init
